//! The charts of a cloud, by real helm.
//!
//! Helm killed at its work, as by an interrupted `up`, leaves its release "pending", and
//! then refuses every later upgrade of it. Such a release is brought back first to what
//! was there before.

use std::path::Path;

use mcdeploy_api::names;
use serde::Deserialize;

use crate::{Cloud, SandboxError, cloud::REGISTRY_NAME, host, paths};

/// The kinds.
pub(super) const CRDS: &str = "mcdeploy-crds";
/// The programs.
pub(super) const CHART: &str = "mcdeploy";

/// Helm for one cloud.
struct Helm<'a> {
    program: &'a Path,
    cloud: Cloud,
}

/// Installs or upgrades both charts of a cloud. `digest` is that of the daemon's image.
pub(super) async fn install(
    cloud: Cloud,
    helm: &Path,
    charts: &Path,
    digest: &str,
) -> Result<(), SandboxError> {
    let helm = Helm {
        program: helm,
        cloud,
    };
    let mut values = vec![
        format!("image.repository={REGISTRY_NAME}/mcdeployd"),
        format!("image.digest={digest}"),
    ];
    if cloud == Cloud::Hub {
        values.push("hub.enabled=true".into());
    } else {
        values.push("member.enabled=true".into());
        values.push(format!("member.cluster={cloud}"));
    }
    helm.upgrade(CRDS, charts, &[]).await?;
    helm.upgrade(CHART, charts, &values).await
}

impl Helm<'_> {
    async fn upgrade(
        &self,
        chart: &str,
        charts: &Path,
        values: &[String],
    ) -> Result<(), SandboxError> {
        self.settle(chart).await?;
        let path = charts.join(chart).display().to_string();
        let mut words = vec!["upgrade", "--install", chart, &path, "--create-namespace"];
        for value in values {
            words.extend(["--set", value]);
        }
        self.run(&words).await?;
        Ok(())
    }

    /// Ends what an interrupted helm left under way.
    async fn settle(&self, release: &str) -> Result<(), SandboxError> {
        // `list` and not `status`: a release that is not there is no error to it.
        let filter = format!("^{release}$");
        let words = ["list", "--pending", "--filter", &filter, "--output", "json"];
        let listed = self.run(&words).await?;
        match remedy(&listed) {
            None => {}
            Some(Remedy::Uninstall) => {
                self.run(&["uninstall", release, "--wait"]).await?;
            }
            Some(Remedy::RollBack) => {
                self.run(&["rollback", release]).await?;
            }
        }
        Ok(())
    }

    async fn run(&self, words: &[&str]) -> Result<String, SandboxError> {
        let program = self.program.display().to_string();
        let kubeconfig = paths::kubeconfig(self.cloud).display().to_string();
        let common = ["--kubeconfig", &kubeconfig, "--namespace"];
        let all = [&[program.as_str()], words, &common[..]].concat();
        host::run([&all[..], &[names::SYSTEM_NAMESPACE]].concat()).await
    }
}

/// What ends a pending release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Remedy {
    /// It was never there before.
    Uninstall,
    /// To the revision before.
    RollBack,
}

/// One entry of `helm list`.
#[derive(Deserialize)]
struct Pending {
    /// A number, as text.
    revision: String,
}

/// What to do about what `helm list --pending` of one release says.
fn remedy(listed: &str) -> Option<Remedy> {
    let found: Vec<Pending> = serde_json::from_str(listed).unwrap_or_default();
    let Pending { revision } = found.first()?;
    Some(if revision == "1" {
        Remedy::Uninstall
    } else {
        Remedy::RollBack
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_that_was_never_whole_goes_and_a_later_one_returns_to_what_was() {
        let listed = |revision| {
            format!(r#"[{{"name":"mcdeploy","revision":"{revision}","status":"pending-install"}}]"#)
        };
        assert_eq!(remedy("[]\n"), None);
        assert_eq!(remedy(&listed("1")), Some(Remedy::Uninstall));
        assert_eq!(remedy(&listed("12")), Some(Remedy::RollBack));
    }
}
