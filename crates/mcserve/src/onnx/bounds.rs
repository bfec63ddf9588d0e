//! Inputs that are indices into a table of the model, and how far they may go.
//!
//! tract reads a neighbouring row, or panics, for an index out of range. A request is
//! refused before that, with the input's name.

use std::collections::{BTreeMap, HashMap};

use tract_onnx::pb::{GraphProto, NodeProto};

/// Operators that give their first input's values back, in another shape or width.
const SAME_VALUES: [&str; 9] = [
    "Cast",
    "Expand",
    "Flatten",
    "Identity",
    "Reshape",
    "Slice",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// Smallest and largest value of each input that is gathered by.
pub(super) fn indices(graph: &GraphProto) -> BTreeMap<String, (i64, i64)> {
    let tables: HashMap<&str, &[i64]> = graph
        .initializer
        .iter()
        .map(|tensor| (tensor.name.as_str(), tensor.dims.as_slice()))
        .collect();
    let makers: HashMap<&str, &NodeProto> = graph
        .node
        .iter()
        .flat_map(|node| node.output.iter().map(move |name| (name.as_str(), node)))
        .collect();
    let mut ranges = BTreeMap::new();
    for node in graph.node.iter().filter(|node| node.op_type == "Gather") {
        let [table, index, ..] = node.input.as_slice() else {
            continue;
        };
        let Some(size) = tables.get(table.as_str()).and_then(|dims| rows(node, dims)) else {
            continue;
        };
        let source = source(&makers, index);
        if graph.input.iter().any(|input| input.name == source) && !tables.contains_key(source) {
            let range = ranges.entry(source.to_owned()).or_insert((-size, size - 1));
            *range = (range.0.max(-size), range.1.min(size - 1));
        }
    }
    ranges
}

fn rows(node: &NodeProto, dims: &[i64]) -> Option<i64> {
    let axis = node.get_attr_opt::<i64>("axis").ok()?.unwrap_or(0);
    let rank = i64::try_from(dims.len()).ok()?;
    let axis = if axis < 0 { axis + rank } else { axis };
    dims.get(usize::try_from(axis).ok()?).copied()
}

/// Where a value comes from, through operators that do not change it.
fn source<'a>(makers: &HashMap<&str, &'a NodeProto>, name: &'a str) -> &'a str {
    let mut name = name;
    // A graph has no cycles; a file that does may not hold us here.
    for _ in 0..makers.len() {
        let Some(maker) = makers.get(name) else {
            break;
        };
        match maker.input.first() {
            Some(input) if SAME_VALUES.contains(&maker.op_type.as_str()) => name = input,
            _ => break,
        }
    }
    name
}
