//! Files that a Job or an init container gets and leaves behind.

use std::{fs, path::Path};

use anyhow::Context as _;
use mcdeploy_api::Reason;
use serde::de::DeserializeOwned;

/// What the kubelet keeps of a termination message, in bytes.
const MAX_MESSAGE_BYTES: usize = 4096;

/// Reads a plan. Its text holds credentials: an error says where, never what.
pub(crate) fn read_plan<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read(path).with_context(|| format!("read the plan {}", path.display()))?;
    serde_json::from_slice(&text).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let kind = error.classify();
        let path = path.display();
        anyhow::anyhow!("the plan {path} is not valid: line {line}, column {column} ({kind:?})")
    })
}

/// Leaves one line, `<Reason>: <message>`, for whoever asks why the container ended.
pub(crate) fn write_termination(path: &Path, reason: Reason, message: &str) {
    write_lines(path, &[(None, reason, message.to_owned())]);
}

/// Leaves one line for each: `<Reason>: <message>`, after `<store>: ` where it is about one
/// store. All of them fit, shortened alike.
pub(crate) fn write_lines(path: &Path, said: &[(Option<&str>, Reason, String)]) {
    let longest = (MAX_MESSAGE_BYTES / said.len().max(1)).saturating_sub(1);
    let lines = said.iter().map(|(store, reason, message)| {
        let store = store.map_or_else(String::new, |store| format!("{store}: "));
        let mut line = format!("{store}{reason}: {message}").replace('\n', " ");
        if line.len() > longest {
            let end = (0..=longest).rfind(|at| line.is_char_boundary(*at));
            line.truncate(end.unwrap_or_default());
        }
        line
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    if let Err(error) = fs::write(path, text) {
        let path = path.display();
        tracing::warn!(error = %error, "cannot write the termination message to {path}");
    }
}

#[cfg(test)]
mod tests {
    use mcdeploy_api::FetchPlan;

    use super::*;

    #[test]
    fn a_bad_plan_is_named_without_its_content() {
        let dir = std::env::temp_dir().join(format!("mcdeployd-plan-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("fetch.json");
        fs::write(&path, r#"{"model": "m", "hunter2": 1}"#).unwrap();
        let error = format!("{:#}", read_plan::<FetchPlan>(&path).unwrap_err());
        assert!(
            error.contains("fetch.json") && error.contains("line 1"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
        let log = dir.join("log");
        write_termination(&log, Reason::ChecksumMismatch, &"ü\n".repeat(4000));
        let line = fs::read_to_string(&log).unwrap();
        assert!(line.starts_with("ChecksumMismatch: ü ü ") && line.len() <= 4096);
        let said = |store| (Some(store), Reason::StoreUnreachable, "ü\n".repeat(4000));
        write_lines(&log, &[said("aws"), said("gcp")]);
        let text = fs::read_to_string(&log).unwrap();
        let lines: Vec<_> = text.lines().map(|line| &line[..28]).collect();
        assert_eq!(
            lines,
            ["aws: StoreUnreachable: ü ü", "gcp: StoreUnreachable: ü ü"]
        );
        assert!(text.len() <= 4096, "{}", text.len());
        fs::remove_dir_all(&dir).unwrap();
    }
}
