//! `mcdeploy.yaml`: found by walking up, parsed strictly.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use mcdeploy_api::EnvVar;
use mcdeploy_evaluate::decode;
use serde::Deserialize;
use serde_saphyr::Spanned;

use crate::{
    exit::{ExitStatus, Failure},
    image::Mirror,
    names::ModelName,
    store_ref::StoreRef,
};

mod amounts;
mod fields;

pub(crate) use fields::{Image, Namespace, Replicas, Resources, Weight};

/// Name of the file.
pub(crate) const FILE_NAME: &str = "mcdeploy.yaml";

/// What `mcdeploy.yaml` says. Every field but the model may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Project {
    /// Name of the model, and of its deployment.
    pub(crate) model: ModelName,
    /// Namespace of the hub.
    #[serde(default)]
    pub(crate) namespace: Option<Namespace>,
    /// Directory that holds a directory per version; relative to the file.
    #[serde(default)]
    pub(crate) dir: Option<PathBuf>,
    /// Image of the model server.
    #[serde(default)]
    pub(crate) image: Option<Image>,
    /// The rest of the container.
    #[serde(default)]
    pub(crate) container: ContainerSection,
    /// Pods per member cluster.
    #[serde(default)]
    pub(crate) replicas: Option<Replicas>,
    /// Whether a request that was not answered may be sent again elsewhere.
    #[serde(default = "yes")]
    pub(crate) repeatable: bool,
    /// Weights of member clusters; empty: every region serves its own requests.
    #[serde(default)]
    pub(crate) weights: BTreeMap<String, Spanned<Weight>>,
    /// Store that `push` uploads to.
    #[serde(default)]
    pub(crate) store: Option<StoreRef>,
    /// Where this program looks up tags of a registry, by the registry's name.
    #[serde(default)]
    pub(crate) registry_mirrors: BTreeMap<String, Mirror>,
}

/// The container without its image.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ContainerSection {
    /// Arguments.
    pub(crate) args: Vec<String>,
    /// Environment, in order.
    pub(crate) env: Vec<EnvVar>,
    /// Requests and limits.
    pub(crate) resources: Option<Resources>,
}

fn yes() -> bool {
    true
}

/// A weight of a member cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WrittenWeight {
    /// 0 to 1000.
    pub(crate) weight: i32,
    /// File, line and column.
    pub(crate) place: String,
}

/// A project file that was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where.
    pub(crate) path: PathBuf,
    /// What it says.
    pub(crate) project: Project,
}

impl Found {
    /// The directory of a version's directories.
    pub(crate) fn dir(&self) -> Option<PathBuf> {
        let base = self.path.parent().unwrap_or(Path::new("."));
        let dir = self.project.dir.as_ref()?;
        // Without the "." of "./models", which reads badly in messages.
        Some(base.join(dir).components().collect())
    }

    /// Weights by member cluster, each with where it is written.
    pub(crate) fn weights(&self) -> BTreeMap<String, WrittenWeight> {
        let weights = self.project.weights.iter().map(|(cluster, weight)| {
            let (at, path) = (weight.referenced, self.path.display());
            let written = WrittenWeight {
                weight: weight.value.0,
                place: format!("{path}:{}:{}", at.line(), at.column()),
            };
            (cluster.clone(), written)
        });
        weights.collect()
    }
}

/// Reads the file that `--config` names, or the nearest one at `start` or above.
pub(crate) fn find(named: Option<&Path>, start: &Path) -> Result<Option<Found>, Failure> {
    let path = match named {
        Some(path) => path.to_owned(),
        None => match nearest(start) {
            Some(path) => path,
            None => return Ok(None),
        },
    };
    let wrong = |why: &dyn std::fmt::Display| {
        let text = format!("cannot read {}: {why}", path.display());
        Failure::new(ExitStatus::Usage, text)
    };
    let bytes = std::fs::read(&path).map_err(|error| wrong(&error))?;
    let text = decode(&bytes).map_err(|why| wrong(&format!("expected text, found {why}")))?;
    let project = parse(&path, &text)?;
    Ok(Some(Found { path, project }))
}

fn nearest(start: &Path) -> Option<PathBuf> {
    let candidates = start.ancestors().map(|dir| dir.join(FILE_NAME));
    candidates.into_iter().find(|path| path.is_file())
}

/// Parses the text of a project file. Errors have file, line, column, what was
/// expected and the lines around.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Project, Failure> {
    serde_saphyr::from_str(text).map_err(|error| {
        let name = path.display().to_string();
        let rendered = error.render_with_options(serde_saphyr::render_options! {
            formatter: &serde_saphyr::UserMessageFormatter,
            source_name: Some(&name),
        });
        let place = match error.location() {
            Some(at) => format!("{name}:{}:{}", at.line(), at.column()),
            None => name,
        };
        Failure::new(
            ExitStatus::Usage,
            format!("{place}: {}", without_repeats(&rendered)),
        )
        .hint("`mcdeploy init` in an empty directory writes a file with every field explained")
    })
}

/// The parser says place and message twice, around the lines of the file: once is
/// enough.
fn without_repeats(rendered: &str) -> String {
    let (first, snippet) = rendered
        .trim_end()
        .split_once('\n')
        .unwrap_or((rendered.trim_end(), ""));
    let message = first.strip_prefix("error: ").unwrap_or(first);
    let message = match message
        .strip_prefix("line ")
        .and_then(|rest| rest.split_once(": "))
    {
        Some((_, message)) => message,
        None => message,
    };
    let readable = message.replace("invalid i64", "expected a whole number");
    let readable = readable.replace(
        "expected mapping start",
        "expected fields, such as model: NAME",
    );
    let readable = match readable.split_once(" at line ") {
        Some(("unexpected end of file", _)) => {
            "the file is empty: expected at least model: NAME".to_owned()
        }
        _ => readable,
    };
    let lines = snippet
        .lines()
        .filter(|line| !line.trim_start().starts_with("-->"));
    let lines = lines.map(|line| line.trim_end_matches(message).trim_end());
    let lines: Vec<&str> = lines.collect();
    if lines.is_empty() {
        return readable;
    }
    format!("{readable}\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        parse(Path::new("mcdeploy.yaml"), text).map_or_else(
            |failure| failure.to_string(),
            |project| format!("accepted: {project:?}"),
        )
    }

    #[test]
    fn errors_name_file_line_column_and_what_was_expected() {
        let cases = [
            ("unknown field", "model: digits\nimgae: a/b:c\n"),
            ("no model", "image: a/b:c\n"),
            ("empty", ""),
            ("bad name", "model: Digits!\n"),
            ("wrong type", "model: digits\nreplicas: many\n"),
            ("out of range", "model: digits\nreplicas: 0\n"),
            (
                "weight out of range",
                "model: digits\nweights:\n  aws: 1001\n",
            ),
            (
                "nested unknown",
                "model: digits\ncontainer:\n  args: []\n  command: [a]\n",
            ),
            (
                "mirror without scheme",
                "model: digits\nregistryMirrors:\n  r.test: 10.0.0.1:5000\n",
            ),
            ("twice", "model: digits\nmodel: letters\n"),
            ("tab", "model: digits\ncontainer:\n\targs: []\n"),
            ("list", "- model\n"),
            ("begins with a digit", "model: 2025-digits\n"),
            ("no image", "model: digits\nimage: UPPER case\n"),
            ("no store", "model: digits\nstore: s3:/x\n"),
            (
                "store without a bucket",
                "model: digits\nstore: \"s3://\"\n",
            ),
            ("no namespace", "model: digits\nnamespace: Foo_Bar\n"),
            (
                "no amount",
                "model: digits\ncontainer:\n  resources: {limits: {memory: lots}}\n",
            ),
            (
                "half a byte",
                "model: digits\ncontainer:\n  resources:\n    limits:\n      cpu: 2\n      memory: 512m\n",
            ),
        ];
        let all = cases.map(|(name, text)| format!("## {name}\n{}\n", shown(text)));
        insta::assert_snapshot!(all.join("\n"));
    }

    #[test]
    fn every_field_is_read() {
        let text = "
model: digits
namespace: serving
dir: ./models
image: registry.test:5000/mcserve:dev
container:
  args: [--workers, \"2\"]
  env: [{name: A, value: b}, {name: PORT, value: 8080}]
  resources: {requests: {cpu: 500m}, limits: {cpu: 2, memory: 1Gi}}
replicas: 3
repeatable: false
weights: {aws: 1, gcp: 0}
store: aws
registryMirrors: {\"registry.test:5000\": \"http://10.203.0.10:5000\"}
";
        let project = parse(Path::new("mcdeploy.yaml"), text).unwrap();
        assert_eq!(project.replicas, Some(Replicas(3)));
        assert_eq!(project.container.args, ["--workers", "2"]);
        assert_eq!(project.container.env[1].value, "8080");
        assert!(!project.repeatable);
        assert_eq!(project.weights["gcp"].value, Weight(0));
        assert_eq!(project.registry_mirrors.len(), 1);
    }

    #[test]
    fn the_nearest_file_above_is_found() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(root.path().join(FILE_NAME), "model: outer\ndir: m\n").unwrap();
        let found = find(None, &deep).unwrap().unwrap();
        assert_eq!(found.project.model.as_str(), "outer");
        assert_eq!(found.dir(), Some(root.path().join("m")));
        // As Notepad writes it.
        let inner = "\u{feff}model: inner\r\n";
        std::fs::write(root.path().join("a").join(FILE_NAME), inner).unwrap();
        let found = find(None, &deep).unwrap().unwrap();
        assert_eq!(found.project.model.as_str(), "inner");
        let error = find(Some(Path::new("/nowhere.yaml")), &deep).unwrap_err();
        assert!(
            error.to_string().starts_with("cannot read /nowhere.yaml"),
            "{error}"
        );
    }

    #[test]
    fn what_init_writes_is_accepted_also_with_every_line_in_force() {
        let model = "digits".parse().unwrap();
        let text = crate::commands::init_template(&model);
        parse(Path::new("mcdeploy.yaml"), &text).unwrap();
        let is_setting = |line: &str| {
            let inner = line.strip_prefix("# ").unwrap_or_default();
            let key = inner.trim_start().trim_start_matches("- ");
            inner.starts_with("  ")
                || key.split_once(':').is_some_and(|(key, _)| {
                    key.starts_with(char::is_lowercase) && key.chars().all(char::is_alphabetic)
                })
        };
        let uncomment = |line: &str| {
            if is_setting(line) {
                line[2..].to_owned()
            } else {
                line.to_owned()
            }
        };
        let all: Vec<String> = text.lines().map(uncomment).collect();
        let project = parse(Path::new("mcdeploy.yaml"), &all.join("\n")).unwrap();
        assert_eq!(project.replicas, Some(Replicas(2)));
        assert_eq!(project.weights.len(), 2);
        assert!(project.container.resources.is_some());
    }
}
