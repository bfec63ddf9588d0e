//! From what was typed and what `mcdeploy.yaml` says to one resolved request.

use std::{path::Path, path::PathBuf};

use crate::{
    args::ProjectArgs,
    exit::{ExitStatus, Failure},
    hub::Hub,
    names::{ModelName, VersionRef},
    project::{self, FILE_NAME, Found},
};

/// The project file, if there is one.
pub(crate) fn find_project(args: &ProjectArgs) -> Result<Option<Found>, Failure> {
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    project::find(args.config.as_deref(), &here)
}

/// Flag or environment > `mcdeploy.yaml` > the context > `default`.
pub(crate) fn namespace(args: &ProjectArgs, found: Option<&Found>, hub: &Hub) -> String {
    let of_file = || Some(found?.project.namespace.clone()?.0);
    let chosen = args.namespace.clone().or_else(of_file);
    chosen.unwrap_or_else(|| hub.context_namespace().to_owned())
}

/// The model that `version` is one of. A project file of another model is set aside,
/// because its image and container belong to its own model.
pub(crate) fn model(
    version: &VersionRef,
    found: Option<Found>,
) -> Result<(ModelName, Option<Found>), Failure> {
    match (&version.model, found) {
        (None, Some(found)) => Ok((found.project.model.clone(), Some(found))),
        (Some(model), found) => {
            let own = found.filter(|found| found.project.model == *model);
            Ok((model.clone(), own))
        }
        (None, None) => Err(Failure::new(
            ExitStatus::Usage,
            format!(
                "which model? there is no {FILE_NAME} here or in a directory above, and {:?} names a version only",
                version.version.as_str()
            ),
        )
        .hint("write MODEL:VERSION, or `mcdeploy init` a project")),
    }
}

/// The directory that holds a directory per version.
pub(crate) fn models_dir(flag: Option<&Path>, found: Option<&Found>) -> Result<PathBuf, Failure> {
    let of_file = || found.and_then(Found::dir);
    flag.map(Path::to_owned).or_else(of_file).ok_or_else(|| {
        Failure::new(
            ExitStatus::Usage,
            "where are the files? no directory is named",
        )
        .hint(format!(
            "write `dir:` into {FILE_NAME}, or --dir DIR; the version's files are in DIR/VERSION"
        ))
    })
}
