//! Runs one version of one model.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
};

use tract_onnx::{prelude::*, tract_hir::internal::DimLike};

use crate::{
    decode::{Datatype, TensorSpec, decode, encode},
    error::{InputError, RequestError},
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

/// Why a model does not load.
#[derive(Debug, thiserror::Error)]
pub enum LoadModel {
    /// The file cannot be opened.
    #[error("cannot open {path:?}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// tract cannot read or prepare it.
    #[error("cannot load {path:?}: {message}")]
    Prepare {
        /// The file.
        path: PathBuf,
        /// What tract says.
        message: String,
    },
    /// An input or output is of a type that JSON tensors do not carry.
    #[error("{path:?}: {name:?} has type {datatype}, which is not served")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Input or output.
        name: String,
        /// What it is.
        datatype: String,
    },
    /// The first inference, on zeros, failed.
    #[error("{path:?} loads, but its first inference fails: {message}")]
    WarmUp {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
}

impl Engine {
    /// Loads a model and runs it once on zeros. Blocks.
    ///
    /// # Errors
    /// The file cannot be read, is not ONNX that tract runs, or the first run fails.
    pub fn load(path: &Path, model: &str, version: &str) -> Result<Self, LoadModel> {
        let file = File::open(path).map_err(|source| LoadModel::Open {
            path: path.into(),
            source,
        })?;
        let prepared =
            Prepared::new(&mut BufReader::new(file)).map_err(|error| LoadModel::Prepare {
                path: path.into(),
                message: format!("{error:#}"),
            })?;
        let spec = |(name, dims, datatype): Described| {
            let datatype = Datatype::of(datatype).ok_or_else(|| LoadModel::Unsupported {
                path: path.into(),
                name: name.clone(),
                datatype: format!("{datatype:?}"),
            })?;
            Ok(TensorSpec {
                name,
                datatype,
                dims,
            })
        };
        let engine = Self {
            model: model.to_owned(),
            version: version.to_owned(),
            inputs: prepared
                .inputs
                .into_iter()
                .map(spec)
                .collect::<Result<_, _>>()?,
            outputs: prepared
                .outputs
                .into_iter()
                .map(spec)
                .collect::<Result<_, _>>()?,
            plan: prepared.plan,
        };
        engine.warm_up().map_err(|message| LoadModel::WarmUp {
            path: path.into(),
            message,
        })?;
        Ok(engine)
    }

    fn warm_up(&self) -> Result<(), String> {
        let zeros = self.inputs.iter().map(|input| {
            let shape = input.dims.iter().map(|dim| dim.unwrap_or(1));
            let shape: Vec<usize> = shape.collect();
            Tensor::zero_dt(input.datatype.tract(), &shape).map(IntoTValue::into_tvalue)
        });
        let zeros: TVec<TValue> = zeros
            .collect::<TractResult<_>>()
            .map_err(|error| format!("{error:#}"))?;
        self.plan
            .run(zeros)
            .map(drop)
            .map_err(|error| format!("{error:#}"))
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
        let failed = |error: TractError| RequestError::Inference {
            message: format!("{error:#}"),
        };
        let values = tensors.into_iter().map(IntoTValue::into_tvalue).collect();
        let results = self.plan.run(values).map_err(failed)?;
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
            .map_err(failed)?;
        Ok(InferResponse {
            model_name: self.model.clone(),
            model_version: self.version.clone(),
            id: request.id,
            outputs,
        })
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

/// Name, sizes (`None`: up to the request), type.
type Described = (String, Vec<Option<usize>>, DatumType);

struct Prepared {
    inputs: Vec<Described>,
    outputs: Vec<Described>,
    plan: Arc<TypedRunnableModel>,
}

impl Prepared {
    fn new(reader: &mut dyn std::io::Read) -> TractResult<Self> {
        let onnx = tract_onnx::onnx();
        let proto = onnx.proto_model_for_read(reader)?;
        let parsed = onnx.parse(&proto, None)?.model;
        let names = |outlets: &[OutletId]| -> Vec<String> {
            let label = |outlet: &OutletId| {
                let node = &parsed.nodes()[outlet.node].name;
                parsed.outlet_label(*outlet).unwrap_or(node).to_owned()
            };
            outlets.iter().map(label).collect()
        };
        let input_names = names(parsed.input_outlets()?);
        let output_names = names(parsed.output_outlets()?);
        let typed = parsed.into_optimized()?;
        let mut inputs = vec![];
        for (index, name) in input_names.into_iter().enumerate() {
            inputs.push(describe(name, typed.input_fact(index)?));
        }
        let mut outputs = vec![];
        for (index, name) in output_names.into_iter().enumerate() {
            outputs.push(describe(name, typed.output_fact(index)?));
        }
        let plan = typed.into_runnable()?;
        Ok(Self {
            inputs,
            outputs,
            plan,
        })
    }
}

fn describe(name: String, fact: &TypedFact) -> Described {
    let dims = fact.shape.iter().map(|dim| dim.to_usize().ok());
    (name, dims.collect(), fact.datum_type)
}
