//! Operators of `ai.onnx.ml` that tract does not have, or has otherwise than the exporters
//! mean them.
//!
//! `trees` are tree ensembles, for classes and for values: tract has them for classes alone,
//! takes the label of the wrong side where all votes are for one class, and reads
//! `BRANCH_GTE` as a leaf. `categories` are `LabelEncoder` and `OneHotEncoder`, which make
//! numbers of texts.

use tract_onnx::model::OnnxOpRegister;

mod categories;
mod trees;

pub(crate) use categories::UnknownCategory;

/// Puts ours in the place of tract's.
pub(crate) fn register(register: &mut OnnxOpRegister) {
    trees::register(register);
    categories::register(register);
}
