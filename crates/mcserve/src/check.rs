//! Says of each version in a directory whether it can be served, by loading it as the server
//! does.

use std::{io, path::Path};

use crate::{
    engine::Engine,
    protocol::TensorMetadata,
    repository::{self, Found, OpenRepository},
};

/// Writes one line for each version: what it takes and gives, or why it cannot be served.
/// Gives how many cannot. `dir` is a models directory or that of one version. Blocks.
///
/// # Errors
/// The directory cannot be read or holds no model, or the lines cannot be written.
pub fn check(dir: &Path, out: &mut dyn io::Write) -> Result<usize, CheckError> {
    let found = match repository::find_one(dir)? {
        Some(found) => vec![found],
        None => repository::find(dir)?,
    };
    let mut refused = 0;
    for found in found {
        let line = match found.load() {
            Ok(engine) => described(&found, &engine),
            Err(error) => {
                refused += 1;
                let source = std::error::Error::source(&error);
                let cause = source.map(|cause| format!(": {cause}")).unwrap_or_default();
                format!("{}: refused: {error}{cause}", name(&found))
            }
        };
        writeln!(out, "{line}")?;
    }
    Ok(refused)
}

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The directory.
    #[error(transparent)]
    Open(#[from] OpenRepository),
    /// The lines.
    #[error("cannot write what was found")]
    Write(#[from] io::Error),
}

fn name(found: &Found) -> String {
    format!("{}/{}", found.model, found.version)
}

fn described(found: &Found, engine: &Engine) -> String {
    let list = |tensors: Vec<TensorMetadata>| {
        let shown = tensors
            .iter()
            .map(|tensor| format!("{} {} {:?}", tensor.name, tensor.datatype, tensor.shape));
        shown.collect::<Vec<_>>().join(", ")
    };
    let takes = list(engine.inputs());
    let gives = list(engine.outputs());
    format!("{}: can be served: {takes} -> {gives}", name(found))
}
