//! Names that a user types: models, versions, and the nearest known word.

use std::{fmt, str::FromStr};

use mcdeploy_api::ParseDigestError;
use mcdeploy_plan::gc::NamedVersion;
use serde::Deserialize;

/// Name of a model, and of its `ModelDeployment`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ModelName(String);

/// Version of a model, such as `v3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionName(String);

impl ModelName {
    /// A name for want of a better one.
    pub(crate) fn fallback() -> Self {
        Self("my-model".to_owned())
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl VersionName {
    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ModelName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // Services are named after it, and their names begin with a letter.
        if is_name(text, 40, "-") && text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?} is no name of a model: expected 1 to 40 of a-z, 0-9 and \"-\", \
             beginning with a letter and ending with a letter or digit"
        ))
    }
}

impl TryFrom<String> for ModelName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl FromStr for VersionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if is_name(text, 20, "-.") {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?} is no version of a model: expected 1 to 20 of a-z, 0-9, \"-\" and \".\", \
             beginning and ending with a letter or digit"
        ))
    }
}

/// Whether a text is made of small letters, digits and `inner`, begins and ends with a letter
/// or digit, and is not too long.
pub(crate) fn is_name(text: &str, length_max: usize, inner: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= length_max
        && text.starts_with(plain)
        && text.ends_with(plain)
        && text.chars().all(|c| plain(c) || inner.contains(c))
}

/// A version, with the model when it is not that of `mcdeploy.yaml`: `v3`, `digits:v3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionRef {
    /// The model, when it was said.
    pub(crate) model: Option<ModelName>,
    /// The version.
    pub(crate) version: VersionName,
}

impl FromStr for VersionRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (model, version) = match text.split_once(':') {
            Some((model, version)) => (Some(model.parse()?), version),
            None => (None, text),
        };
        Ok(Self {
            model,
            version: version.parse()?,
        })
    }
}

/// A version to the byte: `digits:v3@sha256:…`, or without the digest whatever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ExactVersion(pub(crate) NamedVersion);

impl FromStr for ExactVersion {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (version, digest) = match text.split_once('@') {
            Some((version, digest)) => (version, Some(digest)),
            None => (text, None),
        };
        let digest = digest.map(str::parse).transpose();
        let digest = digest.map_err(|error: ParseDigestError| error.to_string())?;
        let named: VersionRef = version.parse()?;
        let model = named.model.ok_or_else(|| {
            format!("{text:?} names no model: expected MODEL:VERSION or MODEL:VERSION@DIGEST")
        })?;
        Ok(Self(NamedVersion {
            model: model.to_string(),
            version: named.version.to_string(),
            digest,
        }))
    }
}

/// The known word that was probably meant: one slip in a short word, two or three in a
/// longer one.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let slips_max = (word.chars().count() / 3).clamp(1, 3);
    let slips = |candidate: &&str| strsim::osa_distance(&word, candidate);
    let near = known
        .into_iter()
        .filter(|candidate| slips(candidate) <= slips_max);
    near.min_by_key(slips)
}

/// `"a"; did you mean "b"?` or `"a"`.
pub(crate) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(word, known) {
        Some(near) => format!("{word:?} (did you mean {near:?}?)"),
        None => format!("{word:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_refs_are_parsed_strictly() {
        let parsed: VersionRef = "digits:v3".parse().unwrap();
        assert_eq!(parsed.model.unwrap().as_str(), "digits");
        assert_eq!(parsed.version.as_str(), "v3");
        assert_eq!("2025.1".parse::<VersionRef>().unwrap().model, None);
        for wrong in [
            "",
            "V3",
            "v3/",
            "-v3",
            "v3-",
            ":v3",
            "2a:v3",
            "a:b:c",
            &"v".repeat(21),
        ] {
            assert!(wrong.parse::<VersionRef>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn exact_versions_name_their_model_and_may_name_their_digest() {
        let hex = "a".repeat(64);
        let exact = |text: &str| text.parse::<ExactVersion>().map(|exact| exact.0);
        let named = exact(&format!("digits:v3@sha256:{hex}")).unwrap();
        assert_eq!(
            (named.model.as_str(), named.version.as_str()),
            ("digits", "v3")
        );
        assert_eq!(named.digest.unwrap().short(64), hex);
        assert_eq!(exact("digits:v3").unwrap().digest, None);
        for wrong in [
            "v3",
            "digits:v3@",
            "digits:v3@sha256:abc",
            "digits:v3@latest",
        ] {
            assert!(exact(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_near_word_is_offered_and_a_far_one_is_not() {
        let clouds = ["aws", "azure", "gcp", "onprem"];
        assert_eq!(nearest("asw", clouds), Some("aws"));
        assert_eq!(nearest("azur", clouds), Some("azure"));
        assert_eq!(nearest("gpc", clouds), Some("gcp"));
        assert_eq!(nearest("mars", clouds), None);
    }
}
