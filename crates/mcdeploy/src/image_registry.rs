//! `--image-registry`: the registry that a cluster's pods pull from.

use mcdeploy_api::{ImageRegistry, ObjectName};

/// Parses `HOST[:PORT][/PATH]`, with `http://` in front of it where there is no TLS. The
/// API server checks the name itself.
pub(crate) fn parse(text: &str) -> Result<ImageRegistry, String> {
    let plain_http = text.starts_with("http://");
    let rest = text
        .strip_prefix("http://")
        .or(text.strip_prefix("https://"));
    let prefix = rest.unwrap_or(text).trim_end_matches('/');
    if prefix.is_empty() || prefix.contains(|c: char| c.is_whitespace() || c == '@') {
        return Err(format!(
            "{text:?} is no registry: expected HOST[:PORT][/PATH], with http:// in front where it has no TLS"
        ));
    }
    Ok(ImageRegistry {
        prefix: prefix.to_owned(),
        plain_http,
        secret_ref: None,
    })
}

/// The registry that was asked for, or the one that the cluster has.
pub(crate) fn chosen(
    flag: Option<&ImageRegistry>,
    secret: Option<&str>,
    known: Option<ImageRegistry>,
) -> Option<ImageRegistry> {
    let Some(flag) = flag else { return known };
    Some(ImageRegistry {
        secret_ref: secret.map(ObjectName::new),
        ..flag.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registry_is_written_with_or_without_a_scheme() {
        for (text, prefix, plain_http) in [
            ("ecr.test/prod/", "ecr.test/prod", false),
            ("https://ecr.test", "ecr.test", false),
            ("http://10.0.0.1:5000", "10.0.0.1:5000", true),
        ] {
            let registry = parse(text).unwrap();
            assert_eq!(
                (&*registry.prefix, registry.plain_http),
                (prefix, plain_http)
            );
        }
        for wrong in ["", "http://", "a b", "user@host"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn without_the_flag_a_cluster_keeps_its_registry() {
        let known = parse("old.test").unwrap();
        assert_eq!(chosen(None, None, Some(known.clone())), Some(known.clone()));
        let new = parse("new.test").unwrap();
        let chosen = chosen(Some(&new), Some("login"), Some(known)).unwrap();
        assert_eq!(chosen.prefix, "new.test");
        assert_eq!(chosen.secret_ref, Some(ObjectName::new("login")));
    }
}
