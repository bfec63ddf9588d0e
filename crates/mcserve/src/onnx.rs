//! From a file to a model that is ready to run.
//!
//! `refuse` says early, and by name, what cannot run; `rewrite` puts plain operators in
//! the place of those that tract does not have; `dims` names the sizes that a file leaves
//! open; `external` bounds where weights may lie; `bounds` finds inputs that are indices.
//! Nothing here sees a request.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

#[cfg_attr(
    not(test),
    expect(
        clippy::wildcard_imports,
        reason = "tract's macros name what is in there"
    )
)]
use tract_onnx::tract_hir::internal::*;
use tract_onnx::{
    model::{Onnx, ParseResult},
    onnx,
    pb::{GraphProto, ModelProto},
};

use crate::{
    decode::{Datatype, Dim, TensorSpec},
    ops, panics,
};

mod bounds;
mod dims;
mod external;
mod graph;
mod refuse;
mod rewrite;

pub use external::BadExternalData;
pub use refuse::Unservable;

/// Why a model does not load. Every message begins with the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadModel {
    /// The file cannot be read.
    #[error("cannot read {path:?}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The file is something else.
    #[error("{path:?} is no ONNX model: {what}")]
    NotOnnx {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do.
        what: String,
    },
    /// The model has what no server here can run.
    #[error("{path:?} cannot be served: {cause}")]
    Unservable {
        /// The file.
        path: PathBuf,
        /// Operator, node and the way out.
        cause: Unservable,
    },
    /// Its weights lie in a file that may not be read, or is not whole.
    #[error("{path:?} cannot be served: {cause}")]
    External {
        /// The file.
        path: PathBuf,
        /// Tensor, location and what is wrong with it.
        cause: BadExternalData,
    },
    /// tract cannot prepare it.
    #[error("cannot load {path:?}: {message}")]
    Prepare {
        /// The file.
        path: PathBuf,
        /// What tract says.
        message: String,
    },
    /// An input or output is of a type that tensors of the protocol do not carry.
    #[error("{path:?}: {name:?} has type {datatype}, which is not served: convert it to FP32")]
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

/// A model that is ready to run.
pub(crate) struct Prepared {
    pub(crate) inputs: Vec<TensorSpec>,
    pub(crate) outputs: Vec<TensorSpec>,
    pub(crate) plan: Arc<TypedRunnableModel>,
}

/// Reads and prepares a model. Blocks.
pub(crate) fn load(path: &Path) -> Result<Prepared, LoadModel> {
    let mut model = read(path)?;
    let mut graph = model.graph.take().ok_or_else(|| LoadModel::NotOnnx {
        path: path.into(),
        what: "it holds no graph".into(),
    })?;
    let onnx = framework();
    let unservable = |cause| LoadModel::Unservable {
        path: path.into(),
        cause,
    };
    let rewritten = rewrite::rewrite(&mut graph).map_err(unservable)?;
    refuse::check(&onnx, &model, &graph).map_err(unservable)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    external::check(dir, &graph).map_err(|cause| LoadModel::External {
        path: path.into(),
        cause,
    })?;
    let indices = bounds::indices(&graph);
    let typed =
        first_reading(&onnx, &mut model, graph, dir).map_err(|message| LoadModel::Prepare {
            path: path.into(),
            message,
        })?;
    typed.described(path, &rewritten, &indices)
}

fn read(path: &Path) -> Result<ModelProto, LoadModel> {
    const LFS: &[u8] = b"version https://git-lfs";
    let open = |source| LoadModel::Open {
        path: path.into(),
        source,
    };
    let not_onnx = |what: String| LoadModel::NotOnnx {
        path: path.into(),
        what,
    };
    let mut file = File::open(path).map_err(open)?;
    let mut head = vec![];
    let first = u64::try_from(LFS.len()).unwrap_or(u64::MAX);
    file.by_ref()
        .take(first)
        .read_to_end(&mut head)
        .map_err(open)?;
    if head.is_empty() {
        return Err(not_onnx("it is empty".into()));
    }
    if head == LFS {
        let what = "it is a Git LFS pointer; bring the file with `git lfs pull`";
        return Err(not_onnx(what.into()));
    }
    onnx()
        .proto_model_for_read(&mut head.as_slice().chain(file))
        .map_err(|error| not_onnx(format!("{error:#}")))
}

/// tract's operators, and ours over them.
fn framework() -> Onnx {
    let mut onnx = onnx();
    ops::register(&mut onnx.op_register);
    onnx.provider = Arc::new(external::Reader);
    onnx
}

struct Typed {
    input_names: Vec<String>,
    output_names: Vec<String>,
    model: TypedModel,
}

/// The first reading of the sizes left open under which the graph is consistent. The
/// message is that of the first reading: it is the one that people mean.
fn first_reading(
    onnx: &Onnx,
    model: &mut ModelProto,
    graph: GraphProto,
    dir: &Path,
) -> Result<Typed, String> {
    let declared = graph.input.clone();
    model.graph = Some(graph);
    let mut first_failure = None;
    for reading in dims::Reading::ALL {
        if let Some(graph) = &mut model.graph {
            graph.input.clone_from(&declared);
            let changed = reading.apply(graph);
            if first_failure.is_some() && !changed {
                continue;
            }
        }
        let attempt = catch_unwind(AssertUnwindSafe(|| typed(onnx, model, dir)));
        match attempt {
            Ok(Ok(typed)) => return Ok(typed),
            Ok(Err(error)) => first_failure.get_or_insert(format!("{error:#}")),
            Err(panic) => first_failure.get_or_insert(panics::message(&*panic)),
        };
    }
    Err(first_failure.unwrap_or_default())
}

fn typed(onnx: &Onnx, proto: &ModelProto, dir: &Path) -> TractResult<Typed> {
    let ParseResult {
        model: parsed,
        unresolved_inputs,
        ..
    } = onnx.parse(proto, Some(&dir.to_string_lossy()))?;
    if let Some(name) = unresolved_inputs.first() {
        bail!("a node reads {name:?}, which nothing in the file makes");
    }
    let names = |outlets: &[OutletId]| -> Vec<String> {
        let label = |outlet: &OutletId| {
            let node = &parsed.nodes()[outlet.node].name;
            parsed.outlet_label(*outlet).unwrap_or(node).to_owned()
        };
        outlets.iter().map(label).collect()
    };
    let input_names = names(parsed.input_outlets()?);
    let output_names = names(parsed.output_outlets()?);
    let plain = parsed.into_typed()?;
    // What the optimiser trips over runs without it, slower.
    let model = plain.clone().into_optimized().or_else(|error| {
        let error = format!("{error:#}");
        tracing::warn!(error, "a model is served as it is, not optimised");
        TractResult::Ok(plain)
    })?;
    Ok(Typed {
        input_names,
        output_names,
        model,
    })
}

impl Typed {
    fn described(
        self,
        path: &Path,
        labels: &BTreeMap<String, String>,
        indices: &BTreeMap<String, (i64, i64)>,
    ) -> Result<Prepared, LoadModel> {
        let prepare = |error: TractError| LoadModel::Prepare {
            path: path.into(),
            message: format!("{error:#}"),
        };
        let mut groups = vec![];
        let mut describe = |name: String, fact: &TypedFact| {
            let datatype = Datatype::of(fact.datum_type).ok_or_else(|| LoadModel::Unsupported {
                path: path.into(),
                name: name.clone(),
                datatype: format!("{:?}", fact.datum_type),
            })?;
            Ok(TensorSpec {
                datatype,
                dims: fact
                    .shape
                    .iter()
                    .map(|dim| size(dim, &mut groups))
                    .collect(),
                labels: labels.get(&name).cloned(),
                range: indices.get(&name).copied(),
                name,
            })
        };
        let mut inputs = vec![];
        for (index, name) in self.input_names.into_iter().enumerate() {
            inputs.push(describe(
                name,
                self.model.input_fact(index).map_err(prepare)?,
            )?);
        }
        let mut outputs = vec![];
        for (index, name) in self.output_names.into_iter().enumerate() {
            outputs.push(describe(
                name,
                self.model.output_fact(index).map_err(prepare)?,
            )?);
        }
        let plan = self.model.into_runnable().map_err(prepare)?;
        Ok(Prepared {
            inputs,
            outputs,
            plan,
        })
    }
}

/// Sizes that are the same symbol are one group: they must be equal in a request.
fn size(dim: &TDim, groups: &mut Vec<TDim>) -> Dim {
    if let Ok(fixed) = usize::try_from(dim.to_i64().unwrap_or(-1)) {
        return Dim::Fixed(fixed);
    }
    if !matches!(dim, TDim::Sym(_)) {
        return Dim::Any;
    }
    let known = groups.iter().position(|group| group == dim);
    Dim::Group(known.unwrap_or_else(|| {
        groups.push(dim.clone());
        groups.len() - 1
    }))
}

#[cfg(test)]
mod tests;
