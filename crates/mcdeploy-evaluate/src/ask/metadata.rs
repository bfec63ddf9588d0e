//! What a server says of a model, by protocol v2.
//!
//! **Source:** <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md>, 2026-11-23.

use serde::Deserialize;

/// A model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Model {
    pub(super) name: String,
    pub(super) inputs: Vec<Tensor>,
    pub(super) outputs: Vec<Tensor>,
}

/// An input or output.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) datatype: String,
    pub(super) shape: Vec<i64>,
}

/// What the numbers of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Whole,
    Fraction,
    Truth,
    Text,
}

impl Tensor {
    pub(super) fn kind(&self) -> Type {
        match self.datatype.as_str() {
            "BOOL" => Type::Truth,
            "BYTES" => Type::Text,
            "FP16" | "FP32" | "FP64" | "BF16" => Type::Fraction,
            _ => Type::Whole,
        }
    }

    /// Values of a row; none where the server leaves that open.
    pub(super) fn width(&self) -> Option<usize> {
        let rest = self.shape.get(1..).unwrap_or_default();
        rest.iter().try_fold(1, |width: usize, size| {
            width.checked_mul(usize::try_from(*size).ok()?)
        })
    }
}
