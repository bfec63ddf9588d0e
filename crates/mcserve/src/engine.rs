//! Runs one version of one model.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::Arc,
};

use tract_onnx::prelude::*;

use crate::{
    decode::{Datatype, Dim, TensorSpec, decode, encode},
    error::{InputError, RequestError},
    onnx::{self, LoadModel},
    ops::UnknownCategory,
    panics,
    protocol::{InferRequest, InferResponse, TensorMetadata},
};

/// One version of one model, loaded and run once.
pub struct Engine {
    model: String,
    version: String,
    inputs: Vec<TensorSpec>,
    outputs: Vec<TensorSpec>,
    plan: Arc<TypedRunnableModel>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({}/{})", self.model, self.version)
    }
}

/// Why a run gave no answer.
struct Failed {
    message: String,
    /// An operator refused a value of the client's.
    unknown_category: bool,
}

type Shapes = TVec<TVec<usize>>;

/// Zeros, or empty texts.
fn zeros(datatype: Datatype, shape: &[usize]) -> TractResult<Tensor> {
    if datatype == Datatype::Bytes {
        let texts = vec![String::new(); shape.iter().product()];
        return tensor1(&texts).into_shape(shape);
    }
    Tensor::zero_dt(datatype.tract(), shape)
}

impl Engine {
    /// Loads a model and runs it once on zeros. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, is not ONNX that can be served, or the first run fails.
    pub fn load(path: &Path, model: &str, version: &str) -> Result<Self, LoadModel> {
        let prepared = onnx::load(path)?;
        let engine = Self {
            model: model.to_owned(),
            version: version.to_owned(),
            inputs: prepared.inputs,
            outputs: prepared.outputs,
            plan: prepared.plan,
        };
        engine.warm_up().map_err(|message| LoadModel::WarmUp {
            path: path.into(),
            message,
        })?;
        Ok(engine)
    }

    fn warm_up(&self) -> Result<(), String> {
        let ones = self.inputs.iter().map(|input| {
            let sizes = input.dims.iter().map(|dim| match dim {
                Dim::Fixed(size) => *size,
                Dim::Any | Dim::Group(_) => 1,
            });
            sizes.collect()
        });
        match self.run_zeros(&ones.collect()) {
            // Zeros and empty texts need not be categories of the model.
            Err(failed) if !failed.unknown_category => Err(failed.message),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Model name.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Version name.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Inputs, in the model's order.
    pub fn inputs(&self) -> Vec<TensorMetadata> {
        self.inputs.iter().map(TensorSpec::metadata).collect()
    }

    /// Outputs, in the model's order.
    pub fn outputs(&self) -> Vec<TensorMetadata> {
        self.outputs.iter().map(TensorSpec::metadata).collect()
    }

    /// Runs one request, which may hold a batch. Blocks.
    ///
    /// # Errors
    /// Inputs that are not the model's, or an inference that failed.
    pub fn infer(&self, request: InferRequest) -> Result<InferResponse, RequestError> {
        let wanted = self.wanted(&request)?;
        let tensors = decode(&self.inputs, request.inputs)?;
        let shapes = tensors.iter().map(|tensor| tensor.shape().into()).collect();
        let values = tensors.into_iter().map(IntoTValue::into_tvalue).collect();
        let results = self
            .run(values)
            .map_err(|failed| self.blame(failed, &shapes))?;
        let outputs = self
            .outputs
            .iter()
            .zip(&results)
            .filter(|(spec, _)| {
                wanted
                    .as_ref()
                    .is_none_or(|names| names.contains(&spec.name))
            })
            .map(|(spec, value)| encode(spec, value))
            .collect::<TractResult<_>>()
            .map_err(|error| RequestError::Inference {
                message: format!("{error:#}"),
            })?;
        Ok(InferResponse {
            model_name: self.model.clone(),
            model_version: self.version.clone(),
            id: request.id,
            outputs,
        })
    }

    /// Runs the plan. Its state is made for each run, so a panic leaves nothing behind.
    fn run(&self, values: TVec<TValue>) -> Result<TVec<TValue>, Failed> {
        let run = AssertUnwindSafe(|| self.plan.run(values));
        match catch_unwind(run) {
            Ok(Ok(results)) => Ok(results),
            Ok(Err(error)) => {
                let unknown = error.downcast_ref::<UnknownCategory>();
                Err(Failed {
                    message: unknown.map_or_else(|| format!("{error:#}"), ToString::to_string),
                    unknown_category: unknown.is_some(),
                })
            }
            Err(panic) => Err(Failed {
                message: panics::message(&*panic),
                unknown_category: false,
            }),
        }
    }

    fn run_zeros(&self, shapes: &Shapes) -> Result<(), Failed> {
        let zeros = self
            .inputs
            .iter()
            .zip(shapes)
            .map(|(input, shape)| zeros(input.datatype, shape).map(IntoTValue::into_tvalue));
        let zeros: TractResult<TVec<TValue>> = zeros.collect();
        let zeros = zeros.map_err(|error| Failed {
            message: format!("{error:#}"),
            unknown_category: false,
        })?;
        self.run(zeros).map(drop)
    }

    /// Whose mistake a failed run is. The model ran when it was loaded: what fails on zeros
    /// of these shapes fails for the shapes, and what does not fails for the values.
    fn blame(&self, failed: Failed, shapes: &Shapes) -> RequestError {
        let Failed {
            message,
            unknown_category,
        } = failed;
        let named = |wanted: fn(Datatype) -> bool| {
            let inputs = self.inputs.iter().zip(shapes);
            let inputs = inputs.filter(|(input, _)| wanted(input.datatype));
            let shown = inputs.map(|(input, shape)| format!("input {:?} {shape:?}", input.name));
            shown.collect::<Vec<_>>().join(", ")
        };
        if unknown_category {
            let given = named(|datatype| !datatype.is_float());
            return InputError::UnknownCategory { given, message }.into();
        }
        let fails_on_zeros = self.run_zeros(shapes).is_err_and(|f| !f.unknown_category);
        if fails_on_zeros {
            let given = named(|_| true);
            return InputError::Shapes { given, message }.into();
        }
        // A float is no index and no category: where there is nothing else, it is ours.
        let given = named(|datatype| !datatype.is_float());
        if given.is_empty() {
            return RequestError::Inference { message };
        }
        InputError::Values { given, message }.into()
    }

    /// Names of the outputs asked for; `None` means all.
    fn wanted(&self, request: &InferRequest) -> Result<Option<Vec<String>>, InputError> {
        let unknown = request
            .outputs
            .iter()
            .find(|choice| !self.outputs.iter().any(|spec| spec.name == choice.name));
        if let Some(choice) = unknown {
            return Err(InputError::UnknownOutput {
                name: choice.name.clone(),
                known: self.outputs.iter().map(|spec| spec.name.clone()).collect(),
            });
        }
        let names: Vec<String> = request.outputs.iter().map(|c| c.name.clone()).collect();
        Ok((!names.is_empty()).then_some(names))
    }
}
