//! Weights beside the model: `model.onnx.data`, as `PyTorch` writes by default.
//!
//! A model is data of others: what it points to is read only inside the directory that
//! the model's file is in, after links are followed.
//!
//! **Source:** <https://github.com/onnx/onnx/blob/main/docs/ExternalData.md>, 2026-11-30.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::{Component, Path, PathBuf},
};

use tract_onnx::{
    data_resolver::ModelDataResolver,
    pb::{
        GraphProto, TensorProto,
        tensor_proto::{DataLocation, DataType},
    },
    prelude::TractResult,
};

use super::graph;

/// Why the weights of a model cannot be taken from another file.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum BadExternalData {
    #[error("tensor {tensor:?} says that its values are in another file, but not in which")]
    NoLocation { tensor: String },
    #[error(
        "the values of tensor {tensor:?} are in {location:?}, which is not a path inside the \
         version's directory: save the model with its data beside it"
    )]
    Outside { tensor: String, location: String },
    #[error(
        "the values of tensor {tensor:?} are in {location:?}, a link to {target:?}, which is \
         outside the version's directory: put the file itself there"
    )]
    LinkOutside {
        tensor: String,
        location: String,
        target: PathBuf,
    },
    #[error(
        "the values of tensor {tensor:?} are in {location:?}, which is not there: push the \
         version with that file"
    )]
    Missing { tensor: String, location: String },
    #[error("the {key} of tensor {tensor:?} in {location:?} is {value:?}: expected a number")]
    BadNumber {
        tensor: String,
        location: String,
        key: &'static str,
        value: String,
    },
    #[error(
        "the values of tensor {tensor:?} are bytes {from} to {to} of {location:?}, which has \
         {size}: the file is not whole"
    )]
    Short {
        tensor: String,
        location: String,
        from: u64,
        to: String,
        size: u64,
    },
    #[error(
        "tensor {tensor:?} takes {expected} bytes of {location:?}; its shape and type hold {holds}"
    )]
    WrongSize {
        tensor: String,
        location: String,
        expected: u64,
        holds: String,
    },
}

/// Checks every tensor whose values lie in another file.
pub(super) fn check(dir: &Path, graph: &GraphProto) -> Result<(), BadExternalData> {
    graph::tensors(graph)
        .into_iter()
        .filter(|tensor| is_external(tensor))
        .try_for_each(|tensor| check_one(dir, tensor))
}

fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == Some(DataLocation::External as i32) && tensor.raw_data.is_empty()
}

fn entry<'a>(tensor: &'a TensorProto, key: &str) -> Option<&'a str> {
    let found = tensor.external_data.iter().find(|entry| entry.key == key);
    found.map(|entry| entry.value.as_str())
}

fn check_one(dir: &Path, tensor: &TensorProto) -> Result<(), BadExternalData> {
    let name = || tensor.name.clone();
    let location =
        entry(tensor, "location").ok_or_else(|| BadExternalData::NoLocation { tensor: name() })?;
    let size = size_inside(dir, &name(), location)?;
    let number = |key: &'static str| match entry(tensor, key) {
        None => Ok(None),
        Some(value) => value
            .parse()
            .map(Some)
            .map_err(|_| BadExternalData::BadNumber {
                tensor: name(),
                location: location.into(),
                key,
                value: value.into(),
            }),
    };
    let from: u64 = number("offset")?.unwrap_or(0);
    let length = number("length")?.unwrap_or_else(|| size.saturating_sub(from));
    let to = from.checked_add(length);
    if from > size || to.is_none_or(|to| to > size) {
        return Err(BadExternalData::Short {
            tensor: name(),
            location: location.into(),
            from,
            to: to.map_or_else(|| "too many".into(), |to| to.to_string()),
            size,
        });
    }
    let holds = bytes_of(tensor);
    if holds != Some(length) {
        return Err(BadExternalData::WrongSize {
            tensor: name(),
            location: location.into(),
            expected: length,
            holds: holds.map_or_else(|| "another number".into(), |bytes| bytes.to_string()),
        });
    }
    Ok(())
}

/// Size of the file at `location`, which lies inside `dir`.
fn size_inside(dir: &Path, tensor: &str, location: &str) -> Result<u64, BadExternalData> {
    let inside = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || !Path::new(location).components().all(inside) {
        return Err(BadExternalData::Outside {
            tensor: tensor.into(),
            location: location.into(),
        });
    }
    let missing = || BadExternalData::Missing {
        tensor: tensor.into(),
        location: location.into(),
    };
    let real_dir = dir.canonicalize().map_err(|_| missing())?;
    let target = real_dir
        .join(location)
        .canonicalize()
        .map_err(|_| missing())?;
    if !target.starts_with(&real_dir) {
        return Err(BadExternalData::LinkOutside {
            tensor: tensor.into(),
            location: location.into(),
            target,
        });
    }
    let found = fs::metadata(&target).map_err(|_| missing())?;
    found.is_file().then_some(found.len()).ok_or_else(missing)
}

/// Bytes that shape and type hold; `None` where a type has no fixed width.
fn bytes_of(tensor: &TensorProto) -> Option<u64> {
    let width = match DataType::try_from(tensor.data_type).ok()? {
        DataType::Bool | DataType::Int8 | DataType::Uint8 => 1,
        DataType::Int16 | DataType::Uint16 | DataType::Float16 | DataType::Bfloat16 => 2,
        DataType::Int32 | DataType::Uint32 | DataType::Float => 4,
        DataType::Int64 | DataType::Uint64 | DataType::Double => 8,
        _ => return None,
    };
    tensor.dims.iter().try_fold(width, |bytes: u64, dim| {
        bytes.checked_mul(u64::try_from(*dim).ok()?)
    })
}

/// Reads the part of a file that a tensor is in, and no more: nothing is mapped, so a file
/// that changes under the server cannot end it.
pub(super) struct Reader;

impl ModelDataResolver for Reader {
    fn read_bytes_from_path(
        &self,
        buffer: &mut Vec<u8>,
        path: &Path,
        offset: usize,
        length: Option<usize>,
    ) -> TractResult<()> {
        let file = File::open(path)?;
        let size = usize::try_from(file.metadata()?.len())?;
        buffer.resize(length.unwrap_or_else(|| size.saturating_sub(offset)), 0);
        file.read_exact_at(buffer, u64::try_from(offset)?)?;
        Ok(())
    }
}
