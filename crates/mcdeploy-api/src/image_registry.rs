//! Images by digest, and the registry that a cluster's nodes pull them from.

use std::{fmt, str::FromStr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ObjectName, ParseDigestError, Sha256Digest};

/// A registry that mirrors images, under their own names and digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImageRegistry {
    /// What comes before an image's name: `host`, `host:port` or `host/path`, such as
    /// `123456789012.dkr.ecr.us-east-1.amazonaws.com/models`.
    #[schemars(
        length(min = 1, max = 200),
        regex(
            pattern = r"^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*$"
        )
    )]
    pub prefix: String,
    /// Copies speak HTTP without TLS: for a registry inside of a private network. How
    /// nodes speak is set at the nodes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub plain_http: bool,
    /// Secret in mcdeploy's own namespace of the hub with `username` and `password`, for
    /// looks and copies. Left out: anonymous. Pods pull by what their nodes may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<ObjectName>,
}

/// An image by digest, taken apart: `registry/name@sha256:…`. The usual defaults apply:
/// `nginx@…` is `docker.io/library/nginx@…`; a tag beside the digest is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PinnedImage {
    /// `host` or `host:port`.
    pub registry: String,
    /// Such as `models/mcserve`.
    pub name: String,
    /// Digest of its index or manifest.
    pub digest: Sha256Digest,
}

/// Text that is no image by digest.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no image by digest: expected REGISTRY/NAME@sha256:…")]
pub struct ParsePinnedImageError {
    text: String,
    #[source]
    source: Option<ParseDigestError>,
}

impl ImageRegistry {
    /// The registry's own place of an image: its prefix before the image's name. An image
    /// that is named in this registry already is its own mirror.
    pub fn mirror(&self, image: &PinnedImage) -> PinnedImage {
        if self.holds(image) {
            return image.clone();
        }
        let (registry, path) = match self.prefix.split_once('/') {
            Some((registry, path)) => (registry, format!("{path}/")),
            None => (self.prefix.as_str(), String::new()),
        };
        PinnedImage {
            registry: registry.to_owned(),
            name: format!("{path}{}", image.name),
            digest: image.digest,
        }
    }

    /// Whether an image is named in this registry.
    pub fn holds(&self, image: &PinnedImage) -> bool {
        let rest = image.location();
        let rest = rest.strip_prefix(&self.prefix);
        rest.is_some_and(|rest| rest.starts_with('/'))
    }
}

impl PinnedImage {
    /// `registry/name`.
    pub fn location(&self) -> String {
        format!("{}/{}", self.registry, self.name)
    }
}

impl fmt::Display for PinnedImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}@{}", self.registry, self.name, self.digest)
    }
}

impl FromStr for PinnedImage {
    type Err = ParsePinnedImageError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |source| ParsePinnedImageError {
            text: text.to_owned(),
            source,
        };
        let (place, digest) = text.split_once('@').ok_or_else(|| wrong(None))?;
        let digest = digest.parse().map_err(|error| wrong(Some(error)))?;
        // A first part with a dot, a port, or that is localhost is a registry.
        let host = place
            .split_once('/')
            .filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost");
        let (registry, name) = match host {
            Some((registry, name)) => (registry, name.to_owned()),
            None if place.contains('/') => ("docker.io", place.to_owned()),
            None => ("docker.io", format!("library/{place}")),
        };
        let name = name.split_once(':').map_or(&*name, |(name, _)| name);
        if name.is_empty() || name.ends_with('/') || text.contains(char::is_whitespace) {
            return Err(wrong(None));
        }
        Ok(Self {
            registry: registry.to_owned(),
            name: name.to_owned(),
            digest,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry(prefix: &str) -> ImageRegistry {
        ImageRegistry {
            prefix: prefix.to_owned(),
            plain_http: false,
            secret_ref: None,
        }
    }

    #[test]
    fn names_get_the_usual_defaults_and_lose_their_tag() {
        let digest = Sha256Digest::of("image");
        for (written, meant) in [
            ("nginx", "docker.io/library/nginx"),
            ("ml/nginx:1.4", "docker.io/ml/nginx"),
            ("localhost/x", "localhost/x"),
            ("r.test:5000/a/b:v1", "r.test:5000/a/b"),
        ] {
            let image: PinnedImage = format!("{written}@{digest}").parse().unwrap();
            assert_eq!(image.to_string(), format!("{meant}@{digest}"));
            assert_eq!(image.to_string().parse::<PinnedImage>().unwrap(), image);
        }
        for wrong in ["nginx:1.4", "nginx@sha256:00", "r.test/@sha256:0", "a b"] {
            assert!(wrong.parse::<PinnedImage>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_mirror_keeps_name_and_digest_below_its_prefix() {
        let digest = Sha256Digest::of("image");
        let image: PinnedImage = format!("r.test:5000/ml/mcserve@{digest}").parse().unwrap();
        for (prefix, mirrored) in [
            ("10.0.0.1:5000", "10.0.0.1:5000/ml/mcserve"),
            ("ecr.test/prod", "ecr.test/prod/ml/mcserve"),
            ("r.test:5000", "r.test:5000/ml/mcserve"),
            ("r.test:5000/ml", "r.test:5000/ml/mcserve"),
            ("r.test:5000/m", "r.test:5000/m/ml/mcserve"),
        ] {
            let mirror = registry(prefix).mirror(&image);
            assert_eq!(mirror.to_string(), format!("{mirrored}@{digest}"));
            assert!(registry(prefix).holds(&mirror), "{prefix}");
            assert_eq!(registry(prefix).mirror(&mirror), mirror);
        }
    }
}
