//! Names of images, as people write them.

use mcdeploy_api::Sha256Digest;
use oci_client::Reference;

/// `registry/name:tag@digest`, taken apart. The usual defaults apply: `nginx` is
/// `docker.io/library/nginx:latest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageName {
    /// `host` or `host:port`.
    pub registry: String,
    /// Such as `models/mcserve`.
    pub name: String,
    /// Tag; `latest` where neither a tag nor a digest was written.
    pub tag: Option<String>,
    /// Digest.
    pub digest: Option<Sha256Digest>,
}

/// Text that is no name of an image.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no image: {why}; expected REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:…")]
pub struct ImageNameError {
    text: String,
    why: String,
}

impl std::str::FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |why: String| ImageNameError {
            text: text.to_owned(),
            why,
        };
        let reference: Reference = text
            .parse()
            .map_err(|why: oci_client::ParseError| error(why.to_string()))?;
        let digest = reference.digest().map(str::parse).transpose();
        Ok(Self {
            registry: reference.registry().to_owned(),
            name: reference.repository().to_owned(),
            tag: reference.tag().map(str::to_owned),
            digest: digest.map_err(|why| error(format!("{why}")))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_usual_ones() {
        let image: ImageName = "nginx".parse().unwrap();
        assert_eq!(image.registry, "docker.io");
        assert_eq!(image.name, "library/nginx");
        assert_eq!(image.tag.as_deref(), Some("latest"));
        assert_eq!(image.digest, None);
    }

    #[test]
    fn a_digest_needs_no_tag() {
        let digest = Sha256Digest::of("x");
        let image: ImageName = format!("r.test:5000/a/b@{digest}").parse().unwrap();
        assert_eq!((image.tag, image.digest), (None, Some(digest)));
        assert_eq!(image.registry, "r.test:5000");
    }

    #[test]
    fn what_is_no_name_is_said() {
        let error = "UPPER case".parse::<ImageName>().unwrap_err();
        assert!(error.to_string().contains("is no image"), "{error}");
    }
}
