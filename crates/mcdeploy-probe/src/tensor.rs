//! An inference request of zeros, made from a model's metadata.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Most elements over all inputs of a request.
pub const MAX_ELEMENTS: u64 = 1 << 20;

/// What `GET /v2/models/M/versions/V` answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) inputs: Vec<TensorMetadata>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct TensorMetadata {
    name: String,
    datatype: String,
    shape: Vec<i64>,
}

#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct InferRequest {
    pub(crate) inputs: Vec<InputTensor>,
}

#[derive(Debug, Serialize, PartialEq)]
pub(crate) struct InputTensor {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    data: Vec<Value>,
}

/// What `POST …/infer` answers.
#[derive(Debug, Deserialize)]
pub(crate) struct InferResponse {
    pub(crate) outputs: Vec<OutputTensor>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct OutputTensor {
    pub(crate) name: String,
    pub(crate) data: Vec<Value>,
}

/// One request that the model must be able to answer: all inputs, all zeros, a length
/// that the model leaves open is 1.
pub(crate) fn zeros(metadata: &Metadata) -> Result<InferRequest, String> {
    if metadata.inputs.is_empty() {
        return Err("the model has no inputs".to_owned());
    }
    let mut left = MAX_ELEMENTS;
    let inputs = metadata.inputs.iter().map(|input| {
        let zero = zero(&input.datatype)
            .ok_or_else(|| format!("input {:?} has datatype {:?}", input.name, input.datatype))?;
        let shape: Vec<i64> = input
            .shape
            .iter()
            .map(|n| if *n < 0 { 1 } else { *n })
            .collect();
        let count = shape
            .iter()
            .try_fold(1_u64, |total, n| total.checked_mul(n.unsigned_abs()))
            .filter(|count| *count <= left)
            .ok_or_else(|| {
                let (name, shape) = (&input.name, &input.shape);
                format!("input {name:?} of shape {shape:?} is too large for a probe")
            })?;
        left -= count;
        let length = usize::try_from(count).unwrap_or(0);
        Ok(InputTensor {
            name: input.name.clone(),
            datatype: input.datatype.clone(),
            shape,
            data: vec![zero; length],
        })
    });
    Ok(InferRequest {
        inputs: inputs.collect::<Result<_, String>>()?,
    })
}

/// Datatypes of Open Inference Protocol v2 that JSON can carry.
fn zero(datatype: &str) -> Option<Value> {
    match datatype {
        "FP16" | "BF16" | "FP32" | "FP64" => Some(0.0.into()),
        "INT8" | "INT16" | "INT32" | "INT64" | "UINT8" | "UINT16" | "UINT32" | "UINT64" => {
            Some(0.into())
        }
        "BOOL" => Some(false.into()),
        "BYTES" => Some("".into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(inputs: &Value) -> Result<InferRequest, String> {
        let metadata = json!({ "inputs": inputs });
        let metadata: Metadata =
            serde_json::from_value(metadata).map_err(|error| error.to_string())?;
        zeros(&metadata)
    }

    #[test]
    fn zeros_fit_the_metadata() {
        let table = [
            (
                json!([{"name": "x", "datatype": "FP32", "shape": [-1, 3]}]),
                json!([{"name": "x", "datatype": "FP32", "shape": [1, 3], "data": [0.0, 0.0, 0.0]}]),
            ),
            (
                json!([{"name": "x", "datatype": "INT64", "shape": []}]),
                json!([{"name": "x", "datatype": "INT64", "shape": [], "data": [0]}]),
            ),
            (
                json!([{"name": "x", "datatype": "BOOL", "shape": [2]},
                    {"name": "y", "datatype": "BYTES", "shape": [1]}]),
                json!([{"name": "x", "datatype": "BOOL", "shape": [2], "data": [false, false]},
                    {"name": "y", "datatype": "BYTES", "shape": [1], "data": [""]}]),
            ),
        ];
        for (inputs, expected) in table {
            let made = serde_json::to_value(request(&inputs).unwrap()).unwrap();
            assert_eq!(made["inputs"], expected);
        }
    }

    #[test]
    fn metadata_that_asks_for_too_much_or_nonsense_is_refused() {
        let table = [
            json!([]),
            json!([{"name": "x", "datatype": "FP128", "shape": [1]}]),
            json!([{"name": "x", "datatype": "FP32", "shape": [1 << 21]}]),
            json!([{"name": "x", "datatype": "FP32", "shape": [i64::MAX, i64::MAX]}]),
            json!([{"name": "x", "datatype": "FP32", "shape": [1 << 20]},
                   {"name": "y", "datatype": "FP32", "shape": [1]}]),
        ];
        for inputs in table {
            assert!(request(&inputs).is_err(), "{inputs}");
        }
    }
}
