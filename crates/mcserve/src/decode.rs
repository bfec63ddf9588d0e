//! JSON tensors to tract's, and back.

use tract_onnx::prelude::{DatumType, Tensor, TractResult, tract_ndarray::ArrayD};

use crate::{
    error::InputError,
    protocol::{Data, InputTensor, OutputTensor, Scalar, TensorMetadata},
};

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Its name.
    pub name: String,
    /// Type of its values.
    pub datatype: Datatype,
    /// Sizes; `None` is up to the request.
    pub dims: Vec<Option<usize>>,
}

impl TensorSpec {
    /// As the protocol shows it.
    pub fn metadata(&self) -> TensorMetadata {
        TensorMetadata {
            name: self.name.clone(),
            datatype: self.datatype.as_str(),
            shape: self.shape(),
        }
    }

    fn shape(&self) -> Vec<i64> {
        let size = |dim: &Option<usize>| dim.map_or(-1, |dim| i64::try_from(dim).unwrap_or(-1));
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

            fn tensor(self, shape: &[usize], scalars: &[Scalar]) -> Result<Tensor, Refused> {
                match self {
                    $(Self::$variant => {
                        let mut values = Vec::with_capacity(scalars.len());
                        for (index, scalar) in scalars.iter().enumerate() {
                            let value = <$rust as FromScalar>::from_scalar(*scalar);
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
                        Data::$data(values.iter().copied().map(Into::into).collect())
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
    Fp32, "FP32", f32, F32, Fp32;
    Fp64, "FP64", f64, F64, Fp64;
}

enum Refused {
    Value(usize),
    Shape,
}

/// Takes a JSON scalar if the type holds it without loss beyond rounding.
trait FromScalar: Sized {
    fn from_scalar(scalar: Scalar) -> Option<Self>;
}

impl FromScalar for bool {
    fn from_scalar(scalar: Scalar) -> Option<Self> {
        match scalar {
            Scalar::Bool(value) => Some(value),
            Scalar::Int(0) => Some(false),
            Scalar::Int(1) => Some(true),
            Scalar::Int(_) | Scalar::UInt(_) | Scalar::Float(_) => None,
        }
    }
}

macro_rules! integers {
    ($($rust:ty)*) => { $(
        impl FromScalar for $rust {
            fn from_scalar(scalar: Scalar) -> Option<Self> {
                match scalar {
                    Scalar::Int(value) => value.try_into().ok(),
                    Scalar::UInt(value) => value.try_into().ok(),
                    Scalar::Float(_) | Scalar::Bool(_) => None,
                }
            }
        }
    )* };
}

integers!(u8 u16 u32 u64 i8 i16 i32 i64);

impl FromScalar for f64 {
    #[expect(clippy::cast_precision_loss, reason = "rounding is what a float does")]
    fn from_scalar(scalar: Scalar) -> Option<Self> {
        match scalar {
            Scalar::Int(value) => Some(value as Self),
            Scalar::UInt(value) => Some(value as Self),
            Scalar::Float(value) => value.is_finite().then_some(value),
            Scalar::Bool(_) => None,
        }
    }
}

impl FromScalar for f32 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding is what a float does"
    )]
    fn from_scalar(scalar: Scalar) -> Option<Self> {
        let value = f64::from_scalar(scalar)? as Self;
        value.is_finite().then_some(value)
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
    tensors.into_iter().zip(specs).map(missing).collect()
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
            .all(|(size, dim)| dim.is_none_or(|dim| dim == *size) || *size == 0);
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
    let given = input.data.0.len();
    if volume != Some(given) {
        return Err(InputError::WrongLength {
            name: spec.name.clone(),
            given,
            shape: input.shape.clone(),
            expected: volume.map_or_else(|| "too many".to_owned(), |n| n.to_string()),
        });
    }
    spec.datatype
        .tensor(&sizes, &input.data.0)
        .map_err(|refused| match refused {
            Refused::Shape => wrong_shape(),
            Refused::Value(index) => InputError::NotRepresentable {
                name: spec.name.clone(),
                index,
                value: input.data.0[index].to_string(),
                datatype: spec.datatype.as_str(),
            },
        })
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
