//! JSON tensors to tract's, and back.

use tract_onnx::prelude::{DatumType, Tensor, TractResult, f16, tract_ndarray::ArrayD};

use crate::{
    error::InputError,
    protocol::{
        Data, InputTensor, OutputTensor, Scalar, Scalars, TensorMetadata, TensorParameters,
    },
};

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Type of its values.
    pub datatype: Datatype,
    /// Sizes.
    pub dims: Vec<Dim>,
    /// What its columns stand for, as a JSON list, where the model says so.
    pub labels: Option<String>,
    /// Smallest and largest value, where the model looks them up in a table.
    pub range: Option<(i64, i64)>,
}

/// One size of an input or output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// This size.
    Fixed(usize),
    /// Up to the request.
    Any,
    /// Up to the request, but equal to all others of the same number.
    Group(usize),
}

impl Dim {
    fn takes(self, size: usize) -> bool {
        match self {
            Self::Fixed(fixed) => fixed == size,
            Self::Any | Self::Group(_) => true,
        }
    }
}

impl TensorSpec {
    /// As the protocol shows it.
    pub fn metadata(&self) -> TensorMetadata {
        TensorMetadata {
            name: self.name.clone(),
            datatype: self.datatype.as_str(),
            shape: self.shape(),
            parameters: self
                .labels
                .clone()
                .map(|labels| TensorParameters { labels }),
        }
    }

    fn shape(&self) -> Vec<i64> {
        let size = |dim: &Dim| match dim {
            Dim::Fixed(size) => i64::try_from(*size).unwrap_or(-1),
            Dim::Any | Dim::Group(_) => -1,
        };
        self.dims.iter().map(size).collect()
    }
}

macro_rules! datatypes {
    ($($variant:ident, $word:literal, $rust:ty, $tract:ident, $data:ident;)*) => {
        /// Types of values that JSON carries.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "the protocol's words")]
        pub enum Datatype { $($variant,)* }

        impl Datatype {
            /// The protocol's word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// tract's word.
            pub fn tract(self) -> DatumType {
                match self { $(Self::$variant => DatumType::$tract,)* }
            }

            /// From tract's word, if JSON carries it.
            pub fn of(tract: DatumType) -> Option<Self> {
                match tract {
                    // How tract writes an INT64 that its shape arithmetic touches.
                    DatumType::TDim => Some(Self::Int64),
                    $(DatumType::$tract => Some(Self::$variant),)*
                    _ => None,
                }
            }

            fn tensor(self, shape: &[usize], scalars: &Scalars) -> Result<Tensor, Refused> {
                match self {
                    $(Self::$variant => {
                        let mut values = Vec::with_capacity(scalars.values.len());
                        for (index, scalar) in scalars.values.iter().enumerate() {
                            let value = <$rust as FromScalar>::from_scalar(*scalar, &scalars.texts);
                            values.push(value.ok_or(Refused::Value(index))?);
                        }
                        let array = ArrayD::from_shape_vec(shape.to_vec(), values);
                        Ok(array.map_err(|_| Refused::Shape)?.into())
                    })*
                }
            }

            fn data(self, tensor: &Tensor) -> TractResult<Data> {
                Ok(match self {
                    $(Self::$variant => {
                        let tensor = tensor.cast_to::<$rust>()?;
                        let values = tensor.to_plain_array_view::<$rust>()?;
                        Data::$data(values.iter().cloned().map(Into::into).collect())
                    })*
                })
            }
        }
    };
}

datatypes! {
    Bool, "BOOL", bool, Bool, Bool;
    Uint8, "UINT8", u8, U8, UInt;
    Uint16, "UINT16", u16, U16, UInt;
    Uint32, "UINT32", u32, U32, UInt;
    Uint64, "UINT64", u64, U64, UInt;
    Int8, "INT8", i8, I8, Int;
    Int16, "INT16", i16, I16, Int;
    Int32, "INT32", i32, I32, Int;
    Int64, "INT64", i64, I64, Int;
    Fp16, "FP16", f16, F16, Fp32;
    Fp32, "FP32", f32, F32, Fp32;
    Fp64, "FP64", f64, F64, Fp64;
    Bytes, "BYTES", String, String, Text;
}

impl Datatype {
    /// Whether values may be fractions.
    pub fn is_float(self) -> bool {
        matches!(self, Self::Fp16 | Self::Fp32 | Self::Fp64)
    }
}

enum Refused {
    Value(usize),
    Shape,
}

/// Takes a JSON scalar if the type holds it without loss beyond rounding.
trait FromScalar: Sized {
    fn from_scalar(scalar: Scalar, texts: &[String]) -> Option<Self>;
}

impl FromScalar for bool {
    fn from_scalar(scalar: Scalar, _texts: &[String]) -> Option<Self> {
        match scalar {
            Scalar::Bool(value) => Some(value),
            Scalar::Int(0) => Some(false),
            Scalar::Int(1) => Some(true),
            Scalar::Int(_)
            | Scalar::UInt(_)
            | Scalar::Float(_)
            | Scalar::Null
            | Scalar::Text(_) => None,
        }
    }
}

impl FromScalar for String {
    #[inline]
    fn from_scalar(scalar: Scalar, texts: &[String]) -> Option<Self> {
        match scalar {
            Scalar::Text(text) => texts.get(text).cloned(),
            Scalar::Int(_)
            | Scalar::UInt(_)
            | Scalar::Float(_)
            | Scalar::Bool(_)
            | Scalar::Null => None,
        }
    }
}

/// A float that is a whole number, which is how some clients write one.
fn whole(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let fits = value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value);
    #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
    fits.then_some(value as i64)
}

macro_rules! integers {
    ($($rust:ty)*) => { $(
        impl FromScalar for $rust {
            #[inline]
            fn from_scalar(scalar: Scalar, _texts: &[String]) -> Option<Self> {
                match scalar {
                    Scalar::Int(value) => value.try_into().ok(),
                    Scalar::UInt(value) => value.try_into().ok(),
                    Scalar::Float(value) => whole(value)?.try_into().ok(),
                    Scalar::Bool(_) | Scalar::Null | Scalar::Text(_) => None,
                }
            }
        }
    )* };
}

integers!(u8 u16 u32 u64 i8 i16 i32 i64);

/// NaN and infinity as protobuf's JSON mapping writes them.
fn not_finite(text: &str) -> Option<f64> {
    Some(match text {
        "NaN" => f64::NAN,
        "Infinity" => f64::INFINITY,
        "-Infinity" => f64::NEG_INFINITY,
        _ => return None,
    })
}

impl FromScalar for f64 {
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "rounding is what a float does")]
    fn from_scalar(scalar: Scalar, texts: &[String]) -> Option<Self> {
        match scalar {
            Scalar::Int(value) => Some(value as Self),
            Scalar::UInt(value) => Some(value as Self),
            Scalar::Float(value) => Some(value),
            // A missing value: what KServe's client and pandas make of a NaN, and what
            // MLServer takes for one.
            Scalar::Null => Some(Self::NAN),
            Scalar::Text(text) => not_finite(texts.get(text)?),
            Scalar::Bool(_) => None,
        }
    }
}

impl FromScalar for f32 {
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "rounding is what a float does"
    )]
    fn from_scalar(scalar: Scalar, texts: &[String]) -> Option<Self> {
        match scalar {
            Scalar::Int(value) => Some(value as Self),
            Scalar::UInt(value) => Some(value as Self),
            // A JSON number is finite: what is not any more was too large.
            Scalar::Float(value) => Some(value as Self).filter(|value| value.is_finite()),
            Scalar::Bool(_) | Scalar::Null | Scalar::Text(_) => {
                f64::from_scalar(scalar, texts).map(|value| value as Self)
            }
        }
    }
}

impl FromScalar for f16 {
    #[inline]
    fn from_scalar(scalar: Scalar, texts: &[String]) -> Option<Self> {
        let wide = f64::from_scalar(scalar, texts)?;
        let value = Self::from_f64(wide);
        (value.is_finite() || !wide.is_finite()).then_some(value)
    }
}

/// The request's tensors in the model's order.
///
/// # Errors
/// The first way in which they are not the model's inputs.
pub fn decode(specs: &[TensorSpec], given: Vec<InputTensor>) -> Result<Vec<Tensor>, InputError> {
    let mut tensors: Vec<Option<Tensor>> = specs.iter().map(|_| None).collect();
    for input in given {
        let Some(index) = specs.iter().position(|spec| spec.name == input.name) else {
            return Err(InputError::UnknownInput {
                name: input.name,
                known: specs.iter().map(|spec| spec.name.clone()).collect(),
            });
        };
        if tensors[index].is_some() {
            return Err(InputError::TwiceGiven { name: input.name });
        }
        tensors[index] = Some(decode_one(&specs[index], &input)?);
    }
    let missing = |(tensor, spec): (Option<Tensor>, &TensorSpec)| {
        tensor.ok_or_else(|| InputError::MissingInput {
            name: spec.name.clone(),
        })
    };
    let tensors: Vec<Tensor> = tensors
        .into_iter()
        .zip(specs)
        .map(missing)
        .collect::<Result<_, _>>()?;
    check_groups(specs, &tensors)?;
    Ok(tensors)
}

/// Sizes of one group are equal: all inputs have the same batch.
fn check_groups(specs: &[TensorSpec], tensors: &[Tensor]) -> Result<(), InputError> {
    let mut seen: Vec<Option<(usize, usize)>> = vec![];
    for (input, (spec, tensor)) in specs.iter().zip(tensors).enumerate() {
        for (axis, (dim, size)) in spec.dims.iter().zip(tensor.shape()).enumerate() {
            let Dim::Group(group) = *dim else {
                continue;
            };
            if seen.len() <= group {
                seen.resize(group + 1, None);
            }
            match seen[group] {
                Some((other, expected)) if expected != *size => {
                    return Err(InputError::UnequalSizes {
                        name: spec.name.clone(),
                        axis,
                        size: *size,
                        other: specs[other].name.clone(),
                        expected,
                    });
                }
                Some(_) => {}
                None => seen[group] = Some((input, *size)),
            }
        }
    }
    Ok(())
}

fn decode_one(spec: &TensorSpec, input: &InputTensor) -> Result<Tensor, InputError> {
    if input.datatype != spec.datatype.as_str() {
        return Err(InputError::WrongDatatype {
            name: spec.name.clone(),
            given: input.datatype.clone(),
            expected: spec.datatype.as_str(),
        });
    }
    let wrong_shape = || InputError::WrongShape {
        name: spec.name.clone(),
        given: input.shape.clone(),
        expected: spec.shape(),
    };
    let sizes: Result<Vec<usize>, _> = input.shape.iter().map(|&n| usize::try_from(n)).collect();
    let sizes = sizes.map_err(|_| wrong_shape())?;
    let fits = sizes.len() == spec.dims.len()
        && sizes
            .iter()
            .zip(&spec.dims)
            .all(|(size, dim)| dim.takes(*size) || *size == 0);
    if !fits {
        return Err(wrong_shape());
    }
    if sizes.contains(&0) {
        return Err(InputError::Empty {
            name: spec.name.clone(),
            shape: input.shape.clone(),
        });
    }
    let volume = sizes.iter().try_fold(1_usize, |all, n| all.checked_mul(*n));
    let given = input.data.values.len();
    if volume != Some(given) {
        return Err(InputError::WrongLength {
            name: spec.name.clone(),
            given,
            shape: input.shape.clone(),
            expected: volume.map_or_else(|| "too many".to_owned(), |n| n.to_string()),
        });
    }
    check_range(spec, input)?;
    spec.datatype
        .tensor(&sizes, &input.data)
        .map_err(|refused| match refused {
            Refused::Shape => wrong_shape(),
            Refused::Value(index) => InputError::NotRepresentable {
                name: spec.name.clone(),
                index,
                value: input.data.shown(index),
                datatype: spec.datatype.as_str(),
            },
        })
}

/// Indices lie inside the table that the model looks them up in.
fn check_range(spec: &TensorSpec, input: &InputTensor) -> Result<(), InputError> {
    let Some((smallest, largest)) = spec.range else {
        return Ok(());
    };
    for (index, scalar) in input.data.values.iter().enumerate() {
        let value = i64::from_scalar(*scalar, &input.data.texts);
        if value.is_some_and(|value| !(smallest..=largest).contains(&value)) {
            return Err(InputError::OutOfRange {
                name: spec.name.clone(),
                index,
                value: input.data.shown(index),
                smallest,
                largest,
            });
        }
    }
    Ok(())
}

/// A result as the protocol shows it.
///
/// # Errors
/// A tensor of another type than the model declared.
pub fn encode(spec: &TensorSpec, tensor: &Tensor) -> TractResult<OutputTensor> {
    Ok(OutputTensor {
        name: spec.name.clone(),
        datatype: spec.datatype.as_str(),
        shape: tensor.shape().to_vec(),
        data: spec.datatype.data(tensor)?,
    })
}

#[cfg(test)]
mod tests;
