//! `mcdeploy init`: writes a commented project file, and nothing else.

use std::{fs::OpenOptions, io::Write, path::Path};

use crate::{
    args::InitArgs,
    exit::{ExitStatus, Failure},
    names::ModelName,
    printer::Printer,
    project::FILE_NAME,
};

/// Writes `mcdeploy.yaml` into the current directory; refuses to overwrite one.
pub(crate) fn init(args: &InitArgs, printer: &Printer) -> anyhow::Result<ExitStatus> {
    let here = std::env::current_dir()?;
    let model = match &args.model {
        Some(model) => model.clone(),
        None => model_of(&here),
    };
    let path = here.join(FILE_NAME);
    let wrong = |error: std::io::Error| {
        if error.kind() == std::io::ErrorKind::AlreadyExists {
            let text = format!("{} exists already and is left as it is", path.display());
            return Failure::new(ExitStatus::Conflict, text).hint("edit it, or move it away first");
        }
        let text = format!("cannot write {}: {error}", path.display());
        Failure::new(ExitStatus::Failed, text)
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .map_err(wrong)?;
    file.write_all(template(&model).as_bytes()).map_err(wrong)?;
    printer.data(FILE_NAME)?;
    printer.notice(
        "next: put the files of a version into models/VERSION, then `mcdeploy push VERSION`",
    );
    Ok(ExitStatus::Success)
}

/// The directory's name as far as it can be a model's name, else `my-model`.
fn model_of(directory: &Path) -> ModelName {
    let name = directory
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    let name = plain.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let parsed = name.trim_end_matches('-').parse();
    parsed.unwrap_or_else(|_| ModelName::fallback())
}

/// The text of a new project file.
pub(crate) fn template(model: &ModelName) -> String {
    include_str!("init.yaml").replace("MODEL", model.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gives_its_name_as_far_as_a_model_can_have_it() {
        for (directory, model) in [
            ("/home/me/digits", "digits"),
            ("/home/me/Digits_2025!", "digits-2025"),
            ("/home/me/2025-x", "x"),
            ("/home/me/2025", "my-model"),
            ("/", "my-model"),
        ] {
            assert_eq!(
                model_of(Path::new(directory)).as_str(),
                model,
                "{directory}"
            );
        }
    }
}
