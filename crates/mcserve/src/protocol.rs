//! Open Inference Protocol v2, the JSON of it.
//!
//! **Source:** <https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md>, 2026-11-23.

use std::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{SeqAccess, Visitor},
    ser::SerializeSeq,
};

/// `POST …/infer`. Parameters are taken and have no effect. Optional fields may be `null`:
/// clients made of pydantic models send them so.
#[derive(Debug, Deserialize)]
pub struct InferRequest {
    /// Comes back in the answer.
    #[serde(default)]
    pub id: Option<String>,
    /// One for each input of the model, in any order.
    pub inputs: Vec<InputTensor>,
    /// Outputs wanted; none named means all.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub outputs: Vec<OutputChoice>,
}

fn null_is_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<OutputChoice>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
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

/// One value as it stood in the JSON.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "the JSON type says it")]
pub enum Scalar {
    Int(i64),
    UInt(u64),
    Float(f64),
    Bool(bool),
    Null,
    /// Which of the texts of its [`Scalars`].
    Text(usize),
}

/// Values of a tensor, flattened, row by row.
#[derive(Debug, Default, PartialEq)]
pub struct Scalars {
    /// One for each value.
    pub values: Vec<Scalar>,
    /// Those of the values that are texts.
    pub texts: Vec<String>,
}

impl Scalars {
    /// A value as the client sent it.
    pub fn shown(&self, index: usize) -> String {
        match self.values.get(index) {
            None => String::new(),
            Some(Scalar::Int(value)) => value.to_string(),
            Some(Scalar::UInt(value)) => value.to_string(),
            // With its point: 1.0 is not 1 to a client who asks why it is refused.
            Some(Scalar::Float(value)) => format!("{value:?}"),
            Some(Scalar::Bool(value)) => value.to_string(),
            Some(Scalar::Null) => "null".into(),
            Some(Scalar::Text(text)) => format!("{:?}", self.text(*text)),
        }
    }

    /// A text of the values.
    pub fn text(&self, index: usize) -> &str {
        self.texts.get(index).map_or("", String::as_str)
    }
}

/// Either a scalar or a list of the same: pushes onto the list that it is given.
struct Nested<'a>(&'a mut Scalars);

impl<'de> serde::de::DeserializeSeed<'de> for Nested<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, text, true, false, null, or a list of them")
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.0.values.push(Scalar::Bool(value));
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.0.values.push(Scalar::Int(value));
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.0.values.push(Scalar::Null);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        self.0.values.push(Scalar::Text(self.0.texts.len()));
        self.0.texts.push(value.to_owned());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        let scalar = i64::try_from(value).map_or(Scalar::UInt(value), Scalar::Int);
        self.0.values.push(scalar);
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.0.values.push(Scalar::Float(value));
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
                f.write_str("a list of values")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Scalars, A::Error> {
                let mut scalars = Scalars::default();
                Nested(&mut scalars).visit_seq(list)?;
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
    Fp32(#[serde(serialize_with = "floats")] Vec<f32>),
    Fp64(#[serde(serialize_with = "floats")] Vec<f64>),
    Text(Vec<String>),
}

/// JSON has no word for NaN and infinity. They are written as the texts of protobuf's JSON
/// mapping: every parser reads those, and numpy turns them into the numbers that they are.
/// A literal `NaN` breaks strict parsers, and `null` would not say which of the three it was.
///
/// **Source:** <https://protobuf.dev/programming-guides/json/>, 2026-11-30.
fn floats<S: Serializer, T: Copy + Serialize + Into<f64>>(
    values: &[T],
    to: S,
) -> Result<S::Ok, S::Error> {
    let mut list = to.serialize_seq(Some(values.len()))?;
    for value in values {
        let wide: f64 = (*value).into();
        if wide.is_finite() {
            list.serialize_element(value)?;
        } else {
            list.serialize_element(not_finite(wide))?;
        }
    }
    list.end()
}

fn not_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
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
    /// What else is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<TensorParameters>,
}

/// Parameters of an output, as `MLServer` shows them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TensorParameters {
    /// What each column of the output stands for: a JSON list as text, since parameters of
    /// the protocol are texts, numbers and truth values.
    pub labels: String,
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
mod tests;
