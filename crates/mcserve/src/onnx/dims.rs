//! Names the sizes that a file leaves open.
//!
//! scikit-learn's exporter writes the first size of an input as neither a number nor a
//! name. That means any size. tract wants a name for each, and the same name where two
//! sizes must be equal, which the file does not say: the readings below are tried in order.

use std::collections::HashSet;

use tract_onnx::pb::{
    GraphProto, ValueInfoProto, tensor_shape_proto::dimension::Value, type_proto,
};

/// A way to read the open sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// The first open sizes of all inputs are one batch; others are each their own.
    OneBatch,
    /// Open sizes in the same place are equal in all inputs.
    SamePlace,
    /// Every open size is its own.
    Apart,
    /// The first size of every input is 1: exporters that were given one row write its size
    /// into the middle of the graph, and still declare the batch free.
    OneRow,
}

impl Reading {
    pub(super) const ALL: [Self; 4] = [Self::OneBatch, Self::SamePlace, Self::Apart, Self::OneRow];

    /// Names the open sizes of the inputs. Whether there were any. Hints about values
    /// within the graph go: they speak of names that may have changed.
    pub(super) fn apply(self, graph: &mut GraphProto) -> bool {
        let weights: HashSet<&str> = graph.initializer.iter().map(|w| w.name.as_str()).collect();
        let mut changed = false;
        for (index, input) in graph.input.iter_mut().enumerate() {
            if !weights.contains(input.name.as_str()) {
                changed |= self.name_sizes(index, input);
            }
        }
        if changed {
            graph.value_info.clear();
        }
        changed
    }

    fn name_sizes(self, input: usize, value: &mut ValueInfoProto) -> bool {
        let Some(type_proto::Value::TensorType(tensor)) =
            value.r#type.as_mut().and_then(|kind| kind.value.as_mut())
        else {
            return false;
        };
        let mut changed = false;
        let dims = tensor.shape.iter_mut().flat_map(|shape| &mut shape.dim);
        for (axis, dim) in dims.enumerate() {
            let name = match &dim.value {
                Some(Value::DimValue(size)) if *size > 0 => continue,
                _ if axis == 0 && self == Self::OneRow => {
                    dim.value = Some(Value::DimValue(1));
                    changed = true;
                    continue;
                }
                Some(Value::DimParam(name)) if is_identifier(name) => continue,
                // A name that is no name of tract's (`batch size`, `2*n`) still says
                // which sizes are equal.
                Some(Value::DimParam(name)) if !matches!(name.as_str(), "" | "?") => {
                    let letters = name.bytes().map(|byte| byte.to_string());
                    format!("mcserve_named_{}", letters.collect::<Vec<_>>().join("_"))
                }
                _ => self.name(input, axis),
            };
            dim.value = Some(Value::DimParam(name));
            changed = true;
        }
        changed
    }

    fn name(self, input: usize, axis: usize) -> String {
        match self {
            Self::OneBatch if axis == 0 => "mcserve_batch".into(),
            Self::SamePlace => format!("mcserve_size_{axis}"),
            Self::OneBatch | Self::Apart | Self::OneRow => format!("mcserve_size_{input}_{axis}"),
        }
    }
}

fn is_identifier(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
        && !matches!(name, "floor" | "min" | "max" | "broadcast")
        && !name.starts_with("unk__")
}
