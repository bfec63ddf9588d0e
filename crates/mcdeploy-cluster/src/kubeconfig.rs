//! Which kubeconfigs are used at all.
//!
//! A member's kubeconfig comes from a Secret, so it must not be able to run a program,
//! read a file of the operator's pod, or send a token over a line that nobody checked.

use base64::{Engine, engine::general_purpose::STANDARD};
use kube::{Config, config::Kubeconfig};
use serde_json::json;

use crate::proxy;

/// Longest kubeconfig that is read, in bytes.
pub const MAX_KUBECONFIG_BYTES: usize = 256 * 1024;

/// Why a kubeconfig is not used. Never shows a value of it, for it holds secrets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigRefused {
    /// More than [`MAX_KUBECONFIG_BYTES`].
    #[error("{bytes} bytes is more than the {MAX_KUBECONFIG_BYTES} that a kubeconfig may have")]
    TooLong {
        /// Its length, in bytes.
        bytes: usize,
    },
    /// Not YAML, or not in the shape of a kubeconfig.
    #[error("line {line}, column {column} is not what a kubeconfig has there")]
    Malformed {
        /// Line, from 1.
        line: u64,
        /// Column, from 1.
        column: u64,
    },
    /// Something is missing that every kubeconfig has.
    #[error("{what} is missing")]
    Missing {
        /// What is missing.
        what: String,
    },
    /// A field that would run a program, read a file, or skip a check.
    #[error("{field} is not allowed: {why}")]
    NotAllowed {
        /// Path of the field.
        field: String,
        /// Why, and what to use instead.
        why: &'static str,
    },
    /// A field with a value that cannot be used.
    #[error("{field} cannot be used: {why}")]
    Invalid {
        /// Path of the field.
        field: String,
        /// What is wrong with it.
        why: String,
    },
}

const NO_PROGRAM: &str =
    "it runs a program inside the operator; use a token (`mcdeploy clusters add` mints one)";
const NO_FILE: &str = "it names a file that the operator does not have; put the data in the \
                       kubeconfig (`kubectl config view --flatten --minify --raw`)";
const NO_PROXY: &str = "a proxy would see the traffic; reach the API server directly";
const NO_INSECURE: &str = "the server must be checked; put its CA into certificate-authority-data";
const NO_PASSWORD: &str = "Kubernetes has no basic auth since 1.19; use a token";
const NO_OTHER_USER: &str = "the operator acts as itself; bind what it needs to its own account";

/// Reads a kubeconfig and refuses everything that a member's kubeconfig must not have:
/// `exec`, `auth-provider`, file paths, `insecure-skip-tls-verify`, `proxy-url`,
/// passwords, impersonation, a server that is not `https`.
///
/// # Errors
/// [`KubeconfigRefused`], with the path of the field and what to use instead. Only the
/// current context is judged: other entries are never used.
pub fn parse_kubeconfig(text: &str) -> Result<Config, KubeconfigRefused> {
    if text.len() > MAX_KUBECONFIG_BYTES {
        return Err(KubeconfigRefused::TooLong { bytes: text.len() });
    }
    // The parser's own message quotes the text, and with it tokens.
    let parsed: Kubeconfig = serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location();
        KubeconfigRefused::Malformed {
            line: place.as_ref().map_or(1, serde_saphyr::Location::line),
            column: place.as_ref().map_or(1, serde_saphyr::Location::column),
        }
    })?;
    let mut kubeconfig = only_current_context(parsed)?;
    check_cluster(&kubeconfig)?;
    check_user(&kubeconfig)?;
    proxy::keep_from_choosing(&mut kubeconfig);
    let mut config = Config::try_from(kubeconfig).map_err(|error| KubeconfigRefused::Invalid {
        field: "the current context".to_owned(),
        why: without_values(&error).to_owned(),
    })?;
    config.default_retry = false;
    proxy::choose(&mut config).map_err(|error| KubeconfigRefused::Invalid {
        field: "the proxy of this machine".to_owned(),
        why: error.to_string(),
    })?;
    Ok(config)
}

/// How a server is reached, and how it is known to be the right one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint<'a> {
    /// Such as `https://10.0.0.1:6443`.
    pub server: &'a str,
    /// CA certificates; may be empty: then the public CAs that the client knows must do.
    pub ca_pem: &'a str,
    /// The name in the server's certificate, when it is not the one in its address.
    pub tls_server_name: Option<&'a str>,
}

/// A kubeconfig that holds an endpoint and a token, and nothing else.
pub fn token_kubeconfig(cluster: &str, at: &Endpoint<'_>, token: &str) -> String {
    let Endpoint {
        server,
        ca_pem,
        tls_server_name,
    } = at;
    let mut endpoint = json!({ "server": server });
    if !ca_pem.is_empty() {
        endpoint["certificate-authority-data"] = STANDARD.encode(ca_pem).into();
    }
    if let Some(name) = tls_server_name {
        endpoint["tls-server-name"] = (*name).into();
    }
    let value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": cluster,
        "clusters": [{ "name": cluster, "cluster": endpoint }],
        "users": [{ "name": "mcdeploy-hub", "user": { "token": token } }],
        "contexts": [{
            "name": cluster,
            "context": { "cluster": cluster, "user": "mcdeploy-hub" }
        }],
    });
    // JSON is YAML, so this is what a reader gets should the writer ever refuse.
    serde_saphyr::to_string(&value).unwrap_or_else(|_| value.to_string())
}

/// Drops all entries that the current context does not use.
fn only_current_context(mut config: Kubeconfig) -> Result<Kubeconfig, KubeconfigRefused> {
    let missing = |what: String| KubeconfigRefused::Missing { what };
    let current = config.current_context.clone().unwrap_or_default();
    if current.is_empty() {
        return Err(missing("current-context".to_owned()));
    }
    config.contexts.retain(|c| c.name == current);
    let named = config.contexts.first().and_then(|c| c.context.clone());
    let context = named.ok_or_else(|| missing(format!("contexts[{current:?}]")))?;
    let user = context.user.unwrap_or_default();
    config.clusters.retain(|c| c.name == context.cluster);
    config.auth_infos.retain(|u| u.name == user);
    if config.clusters.first().is_none_or(|c| c.cluster.is_none()) {
        return Err(missing(format!("clusters[{:?}].cluster", context.cluster)));
    }
    if config
        .auth_infos
        .first()
        .is_none_or(|u| u.auth_info.is_none())
    {
        return Err(missing(format!("users[{user:?}].user")));
    }
    Ok(config)
}

fn check_cluster(config: &Kubeconfig) -> Result<(), KubeconfigRefused> {
    for entry in &config.clusters {
        let Some(cluster) = &entry.cluster else {
            continue;
        };
        let field = |key: &str| format!("clusters[{:?}].cluster.{key}", entry.name);
        let refused = [
            (
                cluster.insecure_skip_tls_verify == Some(true),
                "insecure-skip-tls-verify",
                NO_INSECURE,
            ),
            (cluster.proxy_url.is_some(), "proxy-url", NO_PROXY),
            (
                cluster.certificate_authority.is_some(),
                "certificate-authority",
                NO_FILE,
            ),
        ];
        first_refused(&refused, field)?;
        let server = cluster.server.as_deref().unwrap_or_default();
        let Some(rest) = server.strip_prefix("https://") else {
            return Err(KubeconfigRefused::Invalid {
                field: field("server"),
                why: "it must begin with https://".to_owned(),
            });
        };
        if rest.contains('@') {
            return Err(KubeconfigRefused::Invalid {
                field: field("server"),
                why: "a user or password does not belong into an address".to_owned(),
            });
        }
    }
    Ok(())
}

fn check_user(config: &Kubeconfig) -> Result<(), KubeconfigRefused> {
    for entry in &config.auth_infos {
        let Some(user) = &entry.auth_info else {
            continue;
        };
        let field = |key: &str| format!("users[{:?}].user.{key}", entry.name);
        let refused = [
            (user.exec.is_some(), "exec", NO_PROGRAM),
            (user.auth_provider.is_some(), "auth-provider", NO_PROGRAM),
            (user.token_file.is_some(), "tokenFile", NO_FILE),
            (
                user.client_certificate.is_some(),
                "client-certificate",
                NO_FILE,
            ),
            (user.client_key.is_some(), "client-key", NO_FILE),
            (user.username.is_some(), "username", NO_PASSWORD),
            (user.password.is_some(), "password", NO_PASSWORD),
            (user.impersonate.is_some(), "as", NO_OTHER_USER),
            (user.impersonate_uid.is_some(), "as-uid", NO_OTHER_USER),
            (
                user.impersonate_groups.is_some(),
                "as-groups",
                NO_OTHER_USER,
            ),
            (
                user.impersonate_user_extra.is_some(),
                "as-user-extra",
                NO_OTHER_USER,
            ),
        ];
        first_refused(&refused, field)?;
        let has_certificate =
            user.client_certificate_data.is_some() && user.client_key_data.is_some();
        if user.token.is_none() && !has_certificate {
            return Err(KubeconfigRefused::Missing {
                what: field("token"),
            });
        }
    }
    Ok(())
}

fn first_refused(
    rules: &[(bool, &str, &'static str)],
    field: impl Fn(&str) -> String,
) -> Result<(), KubeconfigRefused> {
    match rules.iter().find(|(present, _, _)| *present) {
        Some((_, key, why)) => Err(KubeconfigRefused::NotAllowed {
            field: field(key),
            why,
        }),
        None => Ok(()),
    }
}

/// The kind of an error of the library, without the text that it quotes.
fn without_values(error: &kube::config::KubeconfigError) -> &'static str {
    use kube::config::KubeconfigError as E;
    match error {
        E::ParseClusterUrl(_) => "the server's address is no URL",
        E::LoadCertificateAuthority(_) | E::ParseCertificates(_) => {
            "certificate-authority-data is not base64 of PEM certificates"
        }
        E::LoadClientCertificate(_) => "client-certificate-data is not base64",
        E::LoadClientKey(_) => "client-key-data is not base64",
        _ => "the client library refuses it",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: k, cluster: {{{cluster}}}}}]\n\
             users: [{{name: u, user: {{{user}}}}}]\n\
             contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n"
        )
    }

    const SERVER: &str = "server: 'https://10.0.0.1:6443'";
    const TOKEN: &str = "token: hunter2";

    #[test]
    fn what_could_run_read_or_skip_is_refused() {
        let cluster = |extra: &str| kubeconfig(&format!("{SERVER}, {extra}"), TOKEN);
        let user = |extra: &str| kubeconfig(SERVER, &format!("{TOKEN}, {extra}"));
        let table = [
            (user("exec: {command: aws}"), "users[\"u\"].user.exec"),
            (
                user("auth-provider: {name: gcp}"),
                "users[\"u\"].user.auth-provider",
            ),
            (user("tokenFile: /t"), "users[\"u\"].user.tokenFile"),
            (
                user("client-certificate: /c"),
                "users[\"u\"].user.client-certificate",
            ),
            (user("client-key: /k"), "users[\"u\"].user.client-key"),
            (user("username: root"), "users[\"u\"].user.username"),
            (user("password: hunter2"), "users[\"u\"].user.password"),
            (user("as: root"), "users[\"u\"].user.as"),
            (
                user("as-groups: ['system:masters']"),
                "users[\"u\"].user.as-groups",
            ),
            (
                cluster("insecure-skip-tls-verify: true"),
                "clusters[\"k\"].cluster.insecure-skip-tls-verify",
            ),
            (
                cluster("proxy-url: 'http://p'"),
                "clusters[\"k\"].cluster.proxy-url",
            ),
            (
                cluster("certificate-authority: /ca"),
                "clusters[\"k\"].cluster.certificate-authority",
            ),
        ];
        for (text, expected) in table {
            match parse_kubeconfig(&text) {
                Err(KubeconfigRefused::NotAllowed { field, why }) => {
                    assert_eq!(field, expected);
                    assert!(!why.is_empty());
                }
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    #[test]
    fn addresses_other_than_https_are_refused() {
        for server in [
            "http://10.0.0.1",
            "10.0.0.1:6443",
            "",
            "https://me:hunter2@10.0.0.1",
        ] {
            let text = kubeconfig(&format!("server: '{server}'"), TOKEN);
            let error = parse_kubeconfig(&text).unwrap_err();
            assert!(
                matches!(error, KubeconfigRefused::Invalid { .. }),
                "{server}: {error}"
            );
            assert!(!error.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let table = [
            ("kind: Config\n".to_owned(), "current-context is missing"),
            (
                "current-context: c\n".to_owned(),
                "contexts[\"c\"] is missing",
            ),
            (kubeconfig(SERVER, ""), "users[\"u\"].user.token is missing"),
        ];
        for (text, expected) in table {
            assert_eq!(parse_kubeconfig(&text).unwrap_err().to_string(), expected);
        }
    }

    #[test]
    fn malformed_text_is_placed_and_not_quoted() {
        let error = parse_kubeconfig("users:\n  - name: u\n    user: {token: [hunter2}\n");
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("line 3"), "{text}");
        assert!(!text.contains("hunter2"));
    }

    #[test]
    fn a_certificate_authority_that_is_no_pem_is_named() {
        let text = kubeconfig(
            &format!("{SERVER}, certificate-authority-data: '%%%'"),
            TOKEN,
        );
        let error = parse_kubeconfig(&text).unwrap_err().to_string();
        assert!(error.contains("certificate-authority-data"), "{error}");
    }

    #[test]
    fn an_oversized_text_is_not_read() {
        let text = "#".repeat(MAX_KUBECONFIG_BYTES + 1);
        let error = parse_kubeconfig(&text).unwrap_err();
        assert!(matches!(error, KubeconfigRefused::TooLong { .. }));
    }

    #[test]
    fn entries_outside_the_current_context_are_not_judged() {
        let text = kubeconfig(SERVER, TOKEN).replace(
            "users: [",
            "users: [{name: other, user: {exec: {command: aws}}}, ",
        );
        assert!(parse_kubeconfig(&text).is_ok());
    }

    #[test]
    fn what_is_written_can_be_read() {
        let at = Endpoint {
            server: "https://10.0.0.1:6443",
            ca_pem: "",
            tls_server_name: Some("kubernetes.default"),
        };
        let text = token_kubeconfig("aws", &at, "hunter2");
        let config = parse_kubeconfig(&text).unwrap();
        assert_eq!(
            config.tls_server_name.as_deref(),
            Some("kubernetes.default")
        );
        assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:6443/");
        assert!(!config.default_retry);
        assert!(config.auth_info.token.is_some());
    }
}
