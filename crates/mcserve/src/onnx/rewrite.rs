//! Plain operators in the place of those of `ai.onnx.ml` that tract does not have and that
//! are nothing but arithmetic.
//!
//! **Source:** <https://github.com/onnx/onnx/blob/main/docs/Operators-ml.md>, 2026-11-30.

use std::collections::{BTreeMap, HashSet};

use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, tensor_proto::DataType};
use tract_onnx::prelude::TractResult;

use super::{
    graph::{
        float_list, floats, int, int_attribute, int_list, ints, node, text_attribute, text_list,
    },
    refuse::Unservable,
};

/// Rewrites the nodes of a graph. Gives the labels of each output that was a list of maps,
/// as a JSON list, in the order of its columns.
pub(super) fn rewrite(graph: &mut GraphProto) -> Result<BTreeMap<String, String>, Unservable> {
    let rows: HashSet<String> = graph
        .initializer
        .iter()
        .filter(|tensor| tensor.dims.len() == 1)
        .map(|tensor| tensor.name.clone())
        .collect();
    let mut labels = BTreeMap::new();
    let mut rewritten = Vec::with_capacity(graph.node.len());
    for old in std::mem::take(&mut graph.node) {
        let (nodes, weights) = match replacement(&old, &rows, &mut labels) {
            Ok(Some(replaced)) => replaced?,
            Ok(None) => (vec![old], vec![]),
            Err(error) => return Err(Unservable::unreadable(&old, &error)),
        };
        rewritten.extend(nodes);
        graph.initializer.extend(weights);
    }
    graph.node = rewritten;
    Ok(labels)
}

type Replaced = Result<(Vec<NodeProto>, Vec<TensorProto>), Unservable>;

/// `rows` are the weights of one dimension.
fn replacement(
    old: &NodeProto,
    rows: &HashSet<String>,
    labels: &mut BTreeMap<String, String>,
) -> TractResult<Option<Replaced>> {
    let ml = old.domain == "ai.onnx.ml";
    if ml && old.op_type == "LinearClassifier" {
        return text_labels(old);
    }
    let ([input, ..], [output]) = (old.input.as_slice(), old.output.as_slice()) else {
        return Ok(None);
    };
    Ok(Some(match old.op_type.as_str() {
        "ZipMap" if ml => {
            labels.insert(output.clone(), column_labels(old)?);
            Ok((vec![node("Identity", &[input], output)], vec![]))
        }
        "ArrayFeatureExtractor" if ml => match old.input.get(1) {
            Some(places) => Ok(extractor(rows, input, places, output)),
            None => return Ok(None),
        },
        "Scaler" if ml => Ok(scaler(old, input, output)?),
        "Binarizer" if ml => Ok(binarizer(old, input, output)?),
        "Imputer" if ml => imputer(old, input, output)?,
        "FeatureVectorizer" if ml => Ok(feature_vectorizer(old, output)),
        _ => return Ok(None),
    }))
}

/// `ZipMap` makes a map from label to probability for each row, which no tensor is. The
/// tensor that it reads holds the same, one column for each label in this order.
fn column_labels(old: &NodeProto) -> TractResult<String> {
    let texts = text_list(old, "classlabels_strings")?;
    Ok(if texts.is_empty() {
        serde_json::to_string(&int_list(old, "classlabels_int64s")?)?
    } else {
        serde_json::to_string(&texts)?
    })
}

/// A linear classifier whose labels are texts, which tract does not have: it gives the number
/// of the label, and an encoder makes the text of it.
fn text_labels(old: &NodeProto) -> TractResult<Option<Replaced>> {
    let texts = text_list(old, "classlabels_strings")?;
    let Some(output) = old.output.first().filter(|_| !texts.is_empty()) else {
        return Ok(None);
    };
    let number = inner(output, "number");
    let numbers: Vec<i64> = (0..).take(texts.len()).collect();
    let mut classifier = old.clone();
    classifier.output[0].clone_from(&number);
    classifier
        .attribute
        .retain(|attribute| attribute.name != "classlabels_strings");
    classifier
        .attribute
        .push(int_attribute("classlabels_ints", numbers.clone()));
    let encoder = NodeProto {
        domain: "ai.onnx.ml".into(),
        attribute: vec![
            int_attribute("keys_int64s", numbers),
            text_attribute("values_strings", texts),
        ],
        ..node("LabelEncoder", &[&number], output)
    };
    Ok(Some(Ok((vec![classifier, encoder], vec![]))))
}

/// A name within the rewritten node that no exporter uses.
fn inner(output: &str, what: &str) -> String {
    format!("{output}/mcserve_{what}")
}

fn to_float(input: &str, output: &str) -> NodeProto {
    NodeProto {
        attribute: vec![int("to", DataType::Float as i64)],
        ..node("Cast", &[input], output)
    }
}

/// Columns by their places. Whatever the shape of the places, they are one row of them, and
/// so is what is taken of one row: tract has it otherwise.
fn extractor(
    rows: &HashSet<String>,
    input: &str,
    places: &str,
    output: &str,
) -> (Vec<NodeProto>, Vec<TensorProto>) {
    let [flat, all, taken, row] = ["flat", "all", "taken", "row"].map(|what| inner(output, what));
    let is_row = rows.contains(input);
    let gathered: &str = if is_row { &taken } else { output };
    let mut nodes = vec![
        node("Reshape", &[places, &all], &flat),
        NodeProto {
            attribute: vec![int("axis", -1)],
            ..node("Gather", &[input, &flat], gathered)
        },
    ];
    let mut weights = vec![ints(&all, vec![-1])];
    if is_row {
        nodes.push(node("Reshape", &[&taken, &row], output));
        weights.push(ints(&row, vec![1, -1]));
    }
    (nodes, weights)
}

/// `(x - offset) * scale`.
fn scaler(
    old: &NodeProto,
    input: &str,
    output: &str,
) -> TractResult<(Vec<NodeProto>, Vec<TensorProto>)> {
    let or = |values: Vec<f32>, neutral| {
        if values.is_empty() {
            vec![neutral]
        } else {
            values
        }
    };
    let [float, offset, moved, scale] =
        ["float", "offset", "moved", "scale"].map(|what| inner(output, what));
    let nodes = vec![
        to_float(input, &float),
        node("Sub", &[&float, &offset], &moved),
        node("Mul", &[&moved, &scale], output),
    ];
    let weights = vec![
        floats(&offset, or(float_list(old, "offset")?, 0.0)),
        floats(&scale, or(float_list(old, "scale")?, 1.0)),
    ];
    Ok((nodes, weights))
}

/// `x > threshold` as 0 and 1.
fn binarizer(
    old: &NodeProto,
    input: &str,
    output: &str,
) -> TractResult<(Vec<NodeProto>, Vec<TensorProto>)> {
    let [float, threshold, above] = ["float", "threshold", "above"].map(|what| inner(output, what));
    let nodes = vec![
        to_float(input, &float),
        node("Greater", &[&float, &threshold], &above),
        to_float(&above, output),
    ];
    let limit = old.get_attr_opt::<f32>("threshold")?.unwrap_or(0.0);
    Ok((nodes, vec![floats(&threshold, vec![limit])]))
}

/// The imputed value where the value is the replaced one, which may be NaN.
fn imputer(old: &NodeProto, input: &str, output: &str) -> TractResult<Replaced> {
    let [replaced, missing, imputed] =
        ["replaced", "missing", "imputed"].map(|what| inner(output, what));
    let choose = node("Where", &[&missing, &imputed, input], output);
    let values = float_list(old, "imputed_value_floats")?;
    let whole = int_list(old, "imputed_value_int64s")?;
    let value = old
        .get_attr_opt::<f32>("replaced_value_float")?
        .unwrap_or(0.0);
    if !values.is_empty() {
        let imputed = floats(&imputed, values);
        if value.is_nan() {
            let nodes = vec![node("IsNaN", &[input], &missing), choose];
            return Ok(Ok((nodes, vec![imputed])));
        }
        let nodes = vec![node("Equal", &[input, &replaced], &missing), choose];
        return Ok(Ok((nodes, vec![imputed, floats(&replaced, vec![value])])));
    }
    if whole.is_empty() {
        return Ok(Err(Unservable::attribute(old, "no value to impute")));
    }
    let value = old
        .get_attr_opt::<i64>("replaced_value_int64")?
        .unwrap_or(0);
    let nodes = vec![node("Equal", &[input, &replaced], &missing), choose];
    let weights = vec![ints(&imputed, whole), ints(&replaced, vec![value])];
    Ok(Ok((nodes, weights)))
}

/// Columns side by side, as floats.
fn feature_vectorizer(old: &NodeProto, output: &str) -> (Vec<NodeProto>, Vec<TensorProto>) {
    let mut nodes = vec![];
    let mut parts = vec![];
    for (index, input) in old.input.iter().enumerate() {
        let part = inner(output, &format!("part_{index}"));
        nodes.push(to_float(input, &part));
        parts.push(part);
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    nodes.push(NodeProto {
        attribute: vec![int("axis", 1)],
        ..node("Concat", &parts, output)
    });
    (nodes, vec![])
}
