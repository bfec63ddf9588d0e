//! `LabelEncoder` and `OneHotEncoder`: numbers for texts and for other numbers.

use std::{collections::HashMap, sync::Arc};

#[cfg_attr(
    not(test),
    expect(
        clippy::wildcard_imports,
        reason = "tract's macros name what is in there"
    )
)]
use tract_onnx::tract_hir::internal::*;
use tract_onnx::{
    model::{OnnxOpRegister, ParsingContext},
    pb::{NodeProto, TensorProto},
};

pub(super) fn register(register: &mut OnnxOpRegister) {
    register.insert("LabelEncoder", label_encoder);
    register.insert("OneHotEncoder", one_hot);
}

/// A value that the encoder was not trained on, where the model says that this is an error.
#[derive(Debug, thiserror::Error)]
#[error("{value} is no category of the model; node {node:?} knows {known}")]
pub(crate) struct UnknownCategory {
    value: String,
    node: String,
    known: usize,
}

type Built = TractResult<(Box<dyn InferenceOp>, Vec<String>)>;

/// What is looked up. Floats are looked up by their bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Text(String),
    Whole(i64),
    Float(u32),
}

/// The keys that a tensor holds.
fn keys(tensor: &Tensor) -> TractResult<Vec<Key>> {
    let kind = tensor.datum_type();
    Ok(if kind == String::datum_type() {
        let view = tensor.try_as_plain_ram()?;
        let texts = view.as_slice::<String>()?;
        texts.iter().map(|text| Key::Text(text.clone())).collect()
    } else if kind.is_float() {
        let tensor = tensor.cast_to::<f32>()?;
        let view = tensor.try_as_plain_ram()?;
        view.as_slice::<f32>()?
            .iter()
            .map(|value| float_key(*value))
            .collect()
    } else {
        let tensor = tensor.cast_to::<i64>()?;
        let view = tensor.try_as_plain_ram()?;
        view.as_slice::<i64>()?
            .iter()
            .map(|value| Key::Whole(*value))
            .collect()
    })
}

/// All NaN are one key, and both zeros are.
fn float_key(value: f32) -> Key {
    let one = if value.is_nan() {
        f32::NAN
    } else {
        value + 0.0
    };
    Key::Float(one.to_bits())
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Whole(value) => value.fmt(f),
            Self::Float(bits) => write!(f, "{:?}", f32::from_bits(*bits)),
        }
    }
}

/// Where each key is first.
fn places(keys: Vec<Key>) -> HashMap<Key, usize> {
    let mut places = HashMap::with_capacity(keys.len());
    for (place, key) in keys.into_iter().enumerate() {
        places.entry(key).or_insert(place);
    }
    places
}

/// What an encoder does; compared by identity, as nothing else asks.
#[derive(Debug)]
enum Encoder {
    /// One value for each value; the last is for those that are not known.
    Label {
        places: HashMap<Key, usize>,
        values: Tensor,
    },
    /// One column for each category.
    OneHot {
        node: String,
        places: HashMap<Key, usize>,
        whole: bool,
        unknown_is_zeros: bool,
    },
}

#[derive(Clone, Debug)]
struct Encode(Arc<Encoder>);

impl PartialEq for Encode {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Encode {}

/// A list of a node that has one type of several.
fn one_of(ctx: &ParsingContext, node: &NodeProto, what: &str) -> TractResult<Option<Tensor>> {
    if let Some(tensor) = node.get_attr_opt::<&TensorProto>(&format!("{what}_tensor"))? {
        return Ok(Some(ctx.load_tensor(tensor)?));
    }
    if let Some(texts) = node.get_attr_opt_vec::<String>(&format!("{what}_strings"))? {
        return Ok(Some(tensor1(&texts)));
    }
    if let Some(whole) = node.get_attr_opt_vec::<i64>(&format!("{what}_int64s"))? {
        return Ok(Some(tensor1(&whole)));
    }
    let floats = node.get_attr_opt_vec::<f32>(&format!("{what}_floats"))?;
    Ok(floats.map(|floats| tensor1(&floats)))
}

fn label_encoder(ctx: &ParsingContext, node: &NodeProto) -> Built {
    let found = keys(&one_of(ctx, node, "keys")?.context(
        "LabelEncoder without keys (ai.onnx.ml 1) is not served: export with target_opset \
         {'ai.onnx.ml': 3}",
    )?)?;
    let values = one_of(ctx, node, "values")?.context("LabelEncoder has no values")?;
    ensure!(
        values.len() == found.len(),
        "LabelEncoder has {} keys and {} values",
        found.len(),
        values.len()
    );
    let unknown = if let Some(tensor) = node.get_attr_opt::<&TensorProto>("default_tensor")? {
        ctx.load_tensor(tensor)?
    } else if values.datum_type() == String::datum_type() {
        let text = node.get_attr_opt::<String>("default_string")?;
        tensor1(&[text.unwrap_or_else(|| "_Unused".into())])
    } else if values.datum_type().is_float() {
        tensor1(&[node.get_attr_opt::<f32>("default_float")?.unwrap_or(-0.0)])
    } else {
        tensor1(&[node.get_attr_opt::<i64>("default_int64")?.unwrap_or(-1)])
    };
    let unknown = unknown.cast_to_dt(values.datum_type())?.into_owned();
    let row = |tensor: Tensor| {
        let length = tensor.len();
        tensor.into_shape(&[length])
    };
    let values = Tensor::stack_tensors(0, &[row(values)?, row(unknown)?])?;
    let encoder = Encoder::Label {
        places: places(found),
        values,
    };
    Ok((expand(Encode(Arc::new(encoder))), vec![]))
}

fn one_hot(ctx: &ParsingContext, node: &NodeProto) -> Built {
    let categories = one_of(ctx, node, "cats")?.context("OneHotEncoder has no categories")?;
    let encoder = Encoder::OneHot {
        node: node.name.clone(),
        whole: categories.datum_type() != String::datum_type(),
        places: places(keys(&categories)?),
        unknown_is_zeros: node.get_attr_opt::<i64>("zeros")?.unwrap_or(1) != 0,
    };
    Ok((expand(Encode(Arc::new(encoder))), vec![]))
}

impl Encoder {
    fn run(&self, input: &Tensor) -> TractResult<Tensor> {
        match self {
            Self::Label { places, values } => {
                let unknown = values.len() - 1;
                let found = keys(input)?;
                let found = found
                    .iter()
                    .map(|key| places.get(key).copied().unwrap_or(unknown));
                let taken = take(values, &found.collect::<Vec<_>>())?;
                taken.into_shape(input.shape())
            }
            Self::OneHot {
                node,
                places,
                whole,
                unknown_is_zeros,
            } => {
                let whole = if *whole {
                    input.cast_to::<i64>()?
                } else {
                    Cow::Borrowed(input)
                };
                let found = keys(&whole)?;
                let mut columns = vec![0.0_f32; found.len() * places.len()];
                for (row, key) in columns.chunks_exact_mut(places.len().max(1)).zip(&found) {
                    match places.get(key) {
                        Some(place) => row[*place] = 1.0,
                        None if *unknown_is_zeros => {}
                        None => bail!(UnknownCategory {
                            value: key.to_string(),
                            node: node.clone(),
                            known: places.len(),
                        }),
                    }
                }
                let mut shape: TVec<usize> = input.shape().into();
                shape.push(places.len());
                Tensor::from_shape(&shape, &columns)
            }
        }
    }

    fn fact(&self, input: &TypedFact) -> TypedFact {
        match self {
            Self::Label { values, .. } => values.datum_type().fact(input.shape.clone()),
            Self::OneHot { places, .. } => {
                let mut shape: TVec<TDim> = input.shape.iter().cloned().collect();
                shape.push(places.len().to_dim());
                f32::fact(shape)
            }
        }
    }
}

fn take(values: &Tensor, places: &[usize]) -> TractResult<Tensor> {
    fn of<T: Datum>(values: &Tensor, places: &[usize]) -> TractResult<Tensor> {
        let view = values.try_as_plain_ram()?;
        let values = view.as_slice::<T>()?;
        let taken: Vec<T> = places.iter().map(|place| values[*place].clone()).collect();
        Ok(tensor1(&taken))
    }
    dispatch_datum!(of(values.datum_type())(values, places))
}

impl Expansion for Encode {
    fn name(&self) -> StaticName {
        "Encode".into()
    }

    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        check_input_arity(inputs, 1)?;
        check_output_arity(outputs, 1)?;
        match &*self.0 {
            Encoder::Label { values, .. } => {
                s.equals(&outputs[0].datum_type, values.datum_type())?;
                s.equals(&outputs[0].shape, &inputs[0].shape)?;
            }
            Encoder::OneHot { places, .. } => {
                let columns = places.len().to_dim();
                s.equals(&outputs[0].datum_type, f32::datum_type())?;
                s.given(&inputs[0].shape, move |s, mut shape| {
                    shape.push(columns.clone());
                    s.equals(&outputs[0].shape, shape)
                })?;
            }
        }
        Ok(())
    }

    fn wire(
        &self,
        prefix: &str,
        model: &mut TypedModel,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

impl Op for Encode {
    fn name(&self) -> StaticName {
        "Encode".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Encode {
    op_out_of_plan!();

    fn eval(&self, _ctx: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let input = args_1!(inputs);
        Ok(tvec!(self.0.run(&input)?.into_tvalue()))
    }
}

impl TypedOp for Encode {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        Ok(tvec!(self.0.fact(inputs[0])))
    }

    as_op!();
}
