//! Walks a graph, and makes parts of one.

use tract_onnx::{
    pb::{
        AttributeProto, GraphProto, NodeProto, TensorProto, attribute_proto::AttributeType,
        tensor_proto::DataType,
    },
    prelude::TractResult,
};

/// Every node of the graph and of the graphs within it.
pub(super) fn nodes(graph: &GraphProto) -> Vec<&NodeProto> {
    let mut found = vec![];
    for node in &graph.node {
        found.push(node);
        let inner = node.attribute.iter().flat_map(|attribute| {
            let many = attribute.graphs.iter();
            attribute.g.iter().chain(many)
        });
        found.extend(inner.flat_map(nodes));
    }
    found
}

/// Every tensor that the file holds or points to.
pub(super) fn tensors(graph: &GraphProto) -> Vec<&TensorProto> {
    let mut found: Vec<&TensorProto> = graph.initializer.iter().collect();
    for attribute in graph.node.iter().flat_map(|node| &node.attribute) {
        found.extend(attribute.t.iter().chain(&attribute.tensors));
        let inner = attribute.g.iter().chain(&attribute.graphs);
        found.extend(inner.flat_map(tensors));
    }
    found
}

/// How people find a node: its name, or what it makes.
pub(super) fn name_of(node: &NodeProto) -> String {
    let made = || node.output.first().cloned().unwrap_or_default();
    if node.name.is_empty() {
        made()
    } else {
        node.name.clone()
    }
}

pub(super) fn node(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        op_type: op.into(),
        name: output.into(),
        input: inputs.iter().map(ToString::to_string).collect(),
        output: vec![output.into()],
        ..NodeProto::default()
    }
}

pub(super) fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Int as i32,
        i: value,
        ..AttributeProto::default()
    }
}

pub(super) fn int_attribute(name: &str, values: Vec<i64>) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Ints as i32,
        ints: values,
        ..AttributeProto::default()
    }
}

pub(super) fn text_attribute(name: &str, values: Vec<String>) -> AttributeProto {
    AttributeProto {
        name: name.into(),
        r#type: AttributeType::Strings as i32,
        strings: values.into_iter().map(String::into_bytes).collect(),
        ..AttributeProto::default()
    }
}

/// A row of floats.
pub(super) fn floats(name: &str, values: Vec<f32>) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: DataType::Float as i32,
        dims: vec![i64::try_from(values.len()).unwrap_or(i64::MAX)],
        float_data: values,
        ..TensorProto::default()
    }
}

/// A row of whole numbers.
pub(super) fn ints(name: &str, values: Vec<i64>) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: DataType::Int64 as i32,
        dims: vec![i64::try_from(values.len()).unwrap_or(i64::MAX)],
        int64_data: values,
        ..TensorProto::default()
    }
}

/// A list attribute; empty when the node has none.
pub(super) fn float_list(node: &NodeProto, name: &str) -> TractResult<Vec<f32>> {
    Ok(node.get_attr_opt_vec(name)?.unwrap_or_default())
}

/// A list attribute; empty when the node has none.
pub(super) fn int_list(node: &NodeProto, name: &str) -> TractResult<Vec<i64>> {
    Ok(node.get_attr_opt_vec(name)?.unwrap_or_default())
}

/// A list attribute; empty when the node has none.
pub(super) fn text_list(node: &NodeProto, name: &str) -> TractResult<Vec<String>> {
    Ok(node.get_attr_opt_vec(name)?.unwrap_or_default())
}
