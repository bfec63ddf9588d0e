//! Open Inference Protocol v2, the JSON of it.
//!
//! **Source:** <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md>, 2026-11-23.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};

/// `POST …/infer`. Parameters are taken and have no effect.
#[derive(Debug, Deserialize)]
pub struct InferRequest {
    /// Comes back in the answer.
    #[serde(default)]
    pub id: Option<String>,
    /// One for each input of the model, in any order.
    pub inputs: Vec<InputTensor>,
    /// Outputs wanted; none named means all.
    #[serde(default)]
    pub outputs: Vec<OutputChoice>,
}

/// One input of a request.
#[derive(Debug, Deserialize)]
pub struct InputTensor {
    /// Name of the model's input.
    pub name: String,
    /// Such as `FP32`.
    pub datatype: String,
    /// Such as `[2, 64]`.
    pub shape: Vec<i64>,
    /// Row by row, flat or nested.
    pub data: Scalars,
}

/// An output that the client wants.
#[derive(Debug, Deserialize)]
pub struct OutputChoice {
    /// Name of the model's output.
    pub name: String,
}

/// One number or truth value as it stood in the JSON.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the JSON type says it")]
pub enum Scalar {
    Int(i64),
    UInt(u64),
    Float(f64),
    Bool(bool),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::UInt(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
        }
    }
}

/// Scalars of a tensor, flattened, row by row.
#[derive(Debug, Default, PartialEq)]
pub struct Scalars(pub Vec<Scalar>);

/// Either a scalar or a list of the same: pushes onto the list that it is given.
struct Nested<'a>(&'a mut Vec<Scalar>);

impl<'de> serde::de::DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, true, false, or a list of them")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.push(Scalar::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.push(Scalar::Int(value));
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        let scalar = i64::try_from(value).map_or(Scalar::UInt(value), Scalar::Int);
        self.0.push(scalar);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.push(Scalar::Float(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(Nested(self.0))?.is_some() {}
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Scalars {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Scalars;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Scalars, A::Error> {
                let mut scalars = Scalars::default();
                Nested(&mut scalars.0).visit_seq(list)?;
                Ok(scalars)
            }
        }

        from.deserialize_seq(List)
    }
}

/// Answer of `POST …/infer`.
#[derive(Debug, Serialize)]
pub struct InferResponse {
    /// Model that answered.
    pub model_name: String,
    /// Its version.
    pub model_version: String,
    /// As in the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// In the model's order.
    pub outputs: Vec<OutputTensor>,
}

/// One output of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutputTensor {
    /// Name of the model's output.
    pub name: String,
    /// Such as `INT64`.
    pub datatype: &'static str,
    /// Such as `[2]`.
    pub shape: Vec<usize>,
    /// Row by row, flat.
    pub data: Data,
}

/// Values of an output.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the type says it")]
pub enum Data {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    UInt(Vec<u64>),
    Fp32(Vec<f32>),
    Fp64(Vec<f64>),
}

/// `GET /v2`.
#[derive(Debug, Serialize)]
pub struct ServerMetadata {
    /// `mcserve`.
    pub name: &'static str,
    /// Version of this program.
    pub version: &'static str,
    /// None.
    pub extensions: [&'static str; 0],
}

/// `GET /v2/models/M[/versions/V]`.
#[derive(Debug, Serialize)]
pub struct ModelMetadata {
    /// Model name.
    pub name: String,
    /// Versions served here, oldest first.
    pub versions: Vec<String>,
    /// `onnx`.
    pub platform: &'static str,
    /// In the model's order.
    pub inputs: Vec<TensorMetadata>,
    /// In the model's order.
    pub outputs: Vec<TensorMetadata>,
}

/// One input or output of a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorMetadata {
    /// Its name.
    pub name: String,
    /// Such as `FP32`.
    pub datatype: &'static str,
    /// -1 where the size is up to the request.
    pub shape: Vec<i64>,
}

/// `GET …/ready` of a model.
#[derive(Debug, Serialize)]
pub struct ModelReady {
    /// Model name.
    pub name: String,
    /// Whether it answers inferences.
    pub ready: bool,
}

/// Body of every answer that is not 2xx.
#[derive(Debug, Serialize)]
pub struct ErrorBody {
    /// For people.
    pub error: String,
    /// One word, for programs. An addition to the protocol.
    pub code: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_may_be_flat_or_nested() {
        let flat: Scalars = serde_json::from_str("[1, 2.5, true, 18446744073709551615]").unwrap();
        let nested: Scalars =
            serde_json::from_str("[[1, 2.5], [[true]], [], 18446744073709551615]").unwrap();
        assert_eq!(flat, nested);
        assert_eq!(flat.0.len(), 4);
    }

    #[test]
    fn data_of_another_kind_is_refused() {
        for bad in [r#"["a"]"#, "[null]", "[{}]", "7", "[NaN]", "[1e999]"] {
            assert!(serde_json::from_str::<Scalars>(bad).is_err(), "{bad}");
        }
    }
}
