//! Says early, and by name, what cannot run here, and the way out.

use tract_onnx::{
    model::Onnx,
    pb::{GraphProto, ModelProto, NodeProto, tensor_proto::DataType, type_proto},
    prelude::{DatumType, TractError},
};

use super::graph;

/// Why a model cannot be served, whatever the request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Unservable {
    #[error("operator {operator} (node {node:?}) is not served: {way_out}")]
    Operator {
        operator: String,
        node: String,
        way_out: &'static str,
    },
    #[error("operator {operator} (node {node:?}) has {what}, which is not served: {way_out}")]
    Attribute {
        operator: String,
        node: String,
        what: String,
        way_out: &'static str,
    },
    #[error(
        "it defines operators of its own, such as {name:?}: inline them first with \
         onnx.inliner.inline_local_functions"
    )]
    Functions { name: String },
    #[error("weight {name:?} is sparse, which is not served: save it dense")]
    SparseWeight { name: String },
    #[error(
        "{name:?} holds values of type {datatype}, which is not served: convert the model to \
         FP32 or FP16"
    )]
    Datatype { name: String, datatype: String },
    #[error("{role} {name:?} is no tensor: {way_out}")]
    NoTensor {
        role: &'static str,
        name: String,
        way_out: &'static str,
    },
    #[error(
        "input {name:?} has no declared shape, not even how many dimensions: declare one when \
         the model is exported, such as [None, 4]"
    )]
    NoShape { name: String },
}

impl Unservable {
    /// A node with an attribute that is not served.
    pub(super) fn attribute(node: &NodeProto, what: impl Into<String>) -> Self {
        Self::Attribute {
            operator: node.op_type.clone(),
            node: graph::name_of(node),
            what: what.into(),
            way_out: OTHER_SERVER,
        }
    }

    /// A node whose attributes cannot be read.
    pub(super) fn unreadable(node: &NodeProto, error: &TractError) -> Self {
        Self::attribute(
            node,
            format!("an attribute that cannot be read ({error:#})"),
        )
    }
}

const OTHER_SERVER: &str =
    "use a server that runs onnxruntime, such as Triton or MLServer, for this model";

/// What people can do instead, for the operators that they meet.
const WAYS_OUT: [(&str, &str); 9] = [
    (
        "SVMClassifier",
        "train LinearSVC or LogisticRegression, or use a server that runs onnxruntime",
    ),
    (
        "SVMRegressor",
        "train LinearSVR, or use a server that runs onnxruntime",
    ),
    (
        "TreeEnsemble",
        "export with target_opset={'': 18, 'ai.onnx.ml': 3}",
    ),
    (
        "TfIdfVectorizer",
        "make the features before the request, or use a server that runs onnxruntime",
    ),
    (
        "Tokenizer",
        "make the features before the request, or use a server that runs onnxruntime",
    ),
    (
        "StringNormalizer",
        "normalise the text before the request, or use a server that runs onnxruntime",
    ),
    (
        "DictVectorizer",
        "send the features as a tensor: export without DictVectorizer",
    ),
    (
        "CastMap",
        "send the features as a tensor: export without DictVectorizer",
    ),
    (
        "SequenceConstruct",
        "export one tensor for each output, with options={id(model): {'zipmap': False}}",
    ),
];

/// Domains whose operators tract or we have under the same names.
const DOMAINS: [&str; 4] = ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"];

/// The first thing in the model that cannot run.
pub(super) fn check(onnx: &Onnx, model: &ModelProto, graph: &GraphProto) -> Result<(), Unservable> {
    if let Some(function) = model.functions.first() {
        return Err(Unservable::Functions {
            name: function.name.clone().unwrap_or_default(),
        });
    }
    let nodes = graph::nodes(graph);
    if let Some(node) = nodes.iter().find(|node| !has(onnx, node)) {
        return Err(no_operator(node));
    }
    if let Some(sparse) = graph.sparse_initializer.first() {
        let values = sparse.values.as_ref();
        return Err(Unservable::SparseWeight {
            name: values.map(|values| values.name.clone()).unwrap_or_default(),
        });
    }
    for tensor in graph::tensors(graph) {
        check_type(&tensor.name, tensor.data_type)?;
    }
    check_ends(graph)
}

fn has(onnx: &Onnx, node: &NodeProto) -> bool {
    DOMAINS.contains(&node.domain.as_str()) && onnx.op_register.0.contains_key(&node.op_type)
}

fn no_operator(node: &NodeProto) -> Unservable {
    let standard = DOMAINS.contains(&node.domain.as_str());
    let known = WAYS_OUT.iter().find(|(name, _)| *name == node.op_type);
    Unservable::Operator {
        operator: if standard {
            node.op_type.clone()
        } else {
            format!("{}.{}", node.domain, node.op_type)
        },
        node: graph::name_of(node),
        way_out: known.map_or(OTHER_SERVER, |(_, way_out)| *way_out),
    }
}

fn check_type(name: &str, datatype: i32) -> Result<(), Unservable> {
    let known = DataType::try_from(datatype).ok();
    if known.is_some_and(|known| DatumType::try_from(known).is_ok()) {
        return Ok(());
    }
    Err(Unservable::Datatype {
        name: name.into(),
        datatype: known.map_or_else(
            || format!("number {datatype}"),
            |known| known.as_str_name().to_owned(),
        ),
    })
}

fn check_ends(graph: &GraphProto) -> Result<(), Unservable> {
    let is_weight = |name: &str| graph.initializer.iter().any(|weight| weight.name == name);
    for input in graph.input.iter().filter(|input| !is_weight(&input.name)) {
        let kind = input.r#type.as_ref().and_then(|kind| kind.value.as_ref());
        let Some(type_proto::Value::TensorType(tensor)) = kind else {
            return Err(Unservable::NoTensor {
                role: "input",
                name: input.name.clone(),
                way_out: "send the features as a tensor: export with a tensor type",
            });
        };
        check_type(&input.name, tensor.elem_type)?;
        if tensor.shape.is_none() {
            return Err(Unservable::NoShape {
                name: input.name.clone(),
            });
        }
    }
    Ok(())
}
