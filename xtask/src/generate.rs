//! Generated files: CRDs in the chart, the CLI reference, and the schema of templates.

use std::{fs, path::Path};

use anyhow::{Context as _, bail};

use crate::{
    demo::target_binary,
    shell::{output, run, say},
};

const CRD_DIR: &str = "charts/mcdeploy-crds/templates";
const CLI_REFERENCE: &str = "docs/reference/cli.md";
const EVALUATION_SCHEMA: &str = "docs/evaluation-template.schema.json";

/// Writes generated files, or checks that they are what would be written.
pub(crate) fn main(check: bool) -> anyhow::Result<()> {
    // The whole workspace at once, so that dependencies keep one set of features.
    run(
        "cargo",
        &[
            "build",
            "--quiet",
            "--workspace",
            "--bin",
            "mcdeploy",
            "--example",
            "crds",
            "--example",
            "evaluation_schema",
        ],
    )?;
    let mut stale = vec![];
    for (path, text) in crds()?
        .into_iter()
        .chain([cli_reference()?, evaluation_schema()?])
    {
        if fs::read_to_string(&path).is_ok_and(|current| current == text) {
            continue;
        }
        if check {
            stale.push(path);
            continue;
        }
        let parent = Path::new(&path).parent().unwrap_or(Path::new("."));
        fs::create_dir_all(parent).with_context(|| format!("create {}", parent.display()))?;
        fs::write(&path, text).with_context(|| format!("write {path}"))?;
        say(format!("wrote {path}"));
    }
    if !stale.is_empty() {
        bail!(
            "stale generated files, run `cargo xtask gen`: {}",
            stale.join(", ")
        );
    }
    Ok(())
}

fn crds() -> anyhow::Result<Vec<(String, String)>> {
    let json = output_of("examples/crds", &[]).context("render the CRDs")?;
    let files: Vec<(String, String)> = serde_json::from_str(&json)?;
    Ok(files
        .into_iter()
        .map(|(name, text)| (format!("{CRD_DIR}/{name}"), text))
        .collect())
}

fn cli_reference() -> anyhow::Result<(String, String)> {
    let text = output_of("mcdeploy", &["__reference"]).context("render the CLI reference")?;
    Ok((CLI_REFERENCE.to_owned(), text))
}

fn evaluation_schema() -> anyhow::Result<(String, String)> {
    let text = output_of("examples/evaluation_schema", &[]);
    let text = text.context("render the schema of evaluation templates")?;
    Ok((EVALUATION_SCHEMA.to_owned(), text))
}

fn output_of(program: &str, args: &[&str]) -> anyhow::Result<String> {
    output(&target_binary(program).to_string_lossy(), args)
}
