//! The kubeconfig of whoever runs a command, found and merged as kubectl does it.
//!
//! It is the user's own: programs and files that it names are used. Kubeconfigs of members
//! are read by `kubeconfig`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use kube::{
    Config,
    config::{ExecConfig, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use crate::{ProxyError, proxy};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file that was named cannot be used.
    #[error("cannot use {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Box<KubeconfigError>,
    },
    /// None of the files of `KUBECONFIG` is there.
    #[error(
        "found no kubeconfig: KUBECONFIG names {}, and nothing is there",
        shown(paths)
    )]
    Absent {
        /// What it names.
        paths: Vec<PathBuf>,
    },
    /// Neither a file was named, nor is one in its usual place.
    #[error("found no kubeconfig")]
    NotFound(#[source] Box<KubeconfigError>),
    /// The context, or what it names, is missing or wrong.
    #[error("cannot use the kubeconfig")]
    Context {
        /// Contexts that there are.
        contexts: Vec<String>,
        /// Why.
        source: Box<KubeconfigError>,
    },
    /// The program that gives credentials is not there.
    #[error(
        "cannot use the kubeconfig: the program {command:?}, which gives the credentials of {user}, is not installed"
    )]
    NoProgram {
        /// Which.
        command: String,
        /// Entry of `users` that names it.
        user: String,
        /// What its authors say on how to get it.
        install_hint: Option<String>,
    },
    /// A proxy that is not used.
    #[error("cannot use the kubeconfig")]
    Proxy(#[source] ProxyError),
}

fn shown(paths: &[PathBuf]) -> String {
    let all: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    all.join(", ")
}

/// A configuration, and what of it only holds on this machine.
pub struct LoadedConfig {
    /// The library's configuration.
    pub config: Config,
    /// Entry of `clusters` whose `proxy-url` it goes through, if it has one.
    pub own_proxy_of: Option<String>,
}

/// Without the configuration, which may hold a proxy's password.
impl fmt::Debug for LoadedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedConfig")
            .field("own_proxy_of", &self.own_proxy_of)
            .finish_non_exhaustive()
    }
}

/// The configuration of a context, of a file that is named, else of those of `KUBECONFIG`,
/// else of the usual one.
///
/// # Errors
/// See [`LoadError`].
pub async fn load_config(
    path: Option<&Path>,
    context: Option<&str>,
) -> Result<LoadedConfig, LoadError> {
    let mut kubeconfig = match path {
        Some(path) => read(path)?,
        None => match of_environment() {
            Some(paths) => merged(&paths)?,
            None => Kubeconfig::read().map_err(|e| LoadError::NotFound(Box::new(e)))?,
        },
    };
    let own_proxy_of = own_proxy(&kubeconfig, context);
    proxy::keep_from_choosing(&mut kubeconfig);
    let contexts = kubeconfig.contexts.iter().map(|c| c.name.clone()).collect();
    let user = user_of(&kubeconfig, context);
    let options = KubeConfigOptions {
        context: context.map(str::to_owned),
        ..KubeConfigOptions::default()
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    let mut config = config.map_err(|error| LoadError::Context {
        contexts,
        source: Box::new(error),
    })?;
    proxy::choose(&mut config).map_err(LoadError::Proxy)?;
    if let Some(exec) = &config.auth_info.exec {
        find_program(exec, user, &search_path())?;
    }
    Ok(LoadedConfig {
        config,
        own_proxy_of,
    })
}

fn read(path: &Path) -> Result<Kubeconfig, LoadError> {
    Kubeconfig::read_from(path).map_err(|error| LoadError::File {
        path: path.to_owned(),
        source: Box::new(error),
    })
}

/// As kubectl: a file that is not there is passed over, for it may come to be.
fn merged(paths: &[PathBuf]) -> Result<Kubeconfig, LoadError> {
    let there: Vec<_> = paths.iter().filter(|path| path.exists()).collect();
    let Some((first, others)) = there.split_first() else {
        let paths = paths.to_vec();
        return Err(LoadError::Absent { paths });
    };
    let mut all = read(first)?;
    for path in others {
        let next = read(path)?;
        all = all.merge(next).map_err(|error| LoadError::File {
            path: (*path).clone(),
            source: Box::new(error),
        })?;
    }
    Ok(all)
}

#[expect(
    clippy::disallowed_methods,
    reason = "kubectl's variable is read here, once a command"
)]
fn of_environment() -> Option<Vec<PathBuf>> {
    let list = std::env::var("KUBECONFIG").ok()?;
    let paths = std::env::split_paths(&list);
    let paths: Vec<_> = paths.filter(|path| !path.as_os_str().is_empty()).collect();
    (!paths.is_empty()).then_some(paths)
}

#[expect(
    clippy::disallowed_methods,
    reason = "programs are looked for where they will be started from"
)]
fn search_path() -> Vec<PathBuf> {
    let list = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&list).collect()
}

/// Cluster and user of the context that is meant.
fn names<'a>(kubeconfig: &'a Kubeconfig, context: Option<&str>) -> Option<(&'a str, &'a str)> {
    let wanted = context.or(kubeconfig.current_context.as_deref())?;
    let mut contexts = kubeconfig.contexts.iter();
    let named = contexts.find(|named| named.name == wanted)?;
    let context = named.context.as_ref()?;
    let user = context.user.as_deref().unwrap_or_default();
    Some((&context.cluster, user))
}

fn own_proxy(kubeconfig: &Kubeconfig, context: Option<&str>) -> Option<String> {
    let (cluster, _) = names(kubeconfig, context)?;
    let mut clusters = kubeconfig.clusters.iter();
    let named = clusters.find(|named| named.name == cluster)?;
    let proxy = named.cluster.as_ref()?.proxy_url.as_deref()?;
    (!proxy.is_empty()).then(|| named.name.clone())
}

fn user_of(kubeconfig: &Kubeconfig, context: Option<&str>) -> String {
    let user = names(kubeconfig, context).map(|(_, user)| user);
    user.unwrap_or_default().to_owned()
}

/// The program is looked for before it is started: what the system then says names neither
/// it nor how to get it.
fn find_program(exec: &ExecConfig, user: String, path: &[PathBuf]) -> Result<(), LoadError> {
    let command = exec.command.clone().unwrap_or_default();
    let is_there = if command.contains('/') {
        Path::new(&command).exists()
    } else {
        path.iter().any(|dir| dir.join(&command).is_file())
    };
    if is_there {
        return Ok(());
    }
    Err(LoadError::NoProgram {
        command,
        user,
        install_hint: exec.install_hint.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: k, cluster: {{server: 'https://10.0.0.1:6443'{cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n"
        )
    }

    async fn load(text: &str) -> Result<LoadedConfig, LoadError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config");
        std::fs::write(&path, text).unwrap();
        load_config(Some(&path), None).await
    }

    #[test]
    fn files_that_are_not_there_are_passed_over_unless_none_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        std::fs::write(path("b"), text("", "token: t")).unwrap();
        let found = merged(&[path("a"), path("b"), path("c")]).unwrap();
        assert_eq!(found.current_context.as_deref(), Some("c"));
        let error = merged(&[path("a"), path("c")]).unwrap_err().to_string();
        for name in ["a", "c"] {
            assert!(error.contains(&path(name).display().to_string()), "{error}");
        }
        std::fs::write(path("a"), "clusters: [").unwrap();
        let error = merged(&[path("a"), path("b")]).unwrap_err();
        assert!(matches!(error, LoadError::File { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named_with_its_install_hint() {
        let exec = "exec: {apiVersion: client.authentication.k8s.io/v1, command: no-such-cloud-auth, \
                    installHint: 'Install it from example.com', interactiveMode: Never}";
        let error = load(&text("", exec)).await.unwrap_err();
        let LoadError::NoProgram {
            command,
            user,
            install_hint,
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!(
            (command.as_str(), user.as_str()),
            ("no-such-cloud-auth", "u")
        );
        assert_eq!(install_hint.as_deref(), Some("Install it from example.com"));
        assert!(error.to_string().contains("no-such-cloud-auth"), "{error}");
        let by_path = exec.replace("no-such-cloud-auth", "/no/such/program");
        let error = load(&text("", &by_path)).await.unwrap_err();
        assert!(error.to_string().contains("/no/such/program"), "{error}");
        let there = exec.replace("no-such-cloud-auth", "/bin/sh");
        load(&text("", &there)).await.unwrap();
    }

    #[tokio::test]
    async fn a_proxy_of_the_cluster_itself_is_used_and_told() {
        let own = text(
            ", proxy-url: 'http://me:hunter2@proxy.test:3128'",
            "token: t",
        );
        let loaded = load(&own).await.unwrap();
        assert_eq!(loaded.own_proxy_of.as_deref(), Some("k"));
        let name = proxy::proxy_name(&loaded.config);
        assert_eq!(name.as_deref(), Some("proxy.test:3128"));
        let socks = text(", proxy-url: 'socks5://me:hunter2@proxy.test'", "token: t");
        let error = load(&socks).await.unwrap_err();
        assert!(matches!(error, LoadError::Proxy(_)), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        let none = load(&text("", "token: t")).await.unwrap();
        assert_eq!(none.own_proxy_of, None);
    }
}
