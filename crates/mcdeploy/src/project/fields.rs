//! Values of `mcdeploy.yaml` that are checked while it is read, so that a mistake has its
//! line and column.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mcdeploy_api::ResourceRequirements;
use mcdeploy_registry::ImageName;
use serde::Deserialize;

use crate::{exit::chain, names::is_name};

/// Pods per member cluster, 1 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Replicas(pub(crate) i32);

/// A weight, 0 to 1000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "i64")]
pub(crate) struct Weight(pub(crate) i32);

/// Name of an image, with a tag or a digest.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Image(pub(crate) String);

/// Name of a namespace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Namespace(pub(crate) String);

/// An amount of something, as Kubernetes writes it: `500m`, `1Gi`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Amount(String);

/// Requests and limits.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Resources {
    requests: BTreeMap<String, Amount>,
    limits: BTreeMap<String, Amount>,
}

impl From<Resources> for ResourceRequirements {
    fn from(Resources { requests, limits }: Resources) -> Self {
        let amounts = |all: BTreeMap<String, Amount>| {
            let all = all.into_iter();
            all.map(|(what, amount)| (what, Quantity(amount.0)))
                .collect()
        };
        Self {
            requests: amounts(requests),
            limits: amounts(limits),
        }
    }
}

fn within(value: i64, least: i32, most: i32, what: &str) -> Result<i32, String> {
    let fits = i32::try_from(value).ok();
    fits.filter(|value| (least..=most).contains(value))
        .ok_or_else(|| format!("{what} is {value}: expected {least} to {most}"))
}

impl TryFrom<i64> for Replicas {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        within(value, 1, 1000, "replicas").map(Self)
    }
}

impl TryFrom<i64> for Weight {
    type Error = String;

    fn try_from(value: i64) -> Result<Self, String> {
        within(value, 0, 1000, "a weight").map(Self)
    }
}

impl TryFrom<String> for Image {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.parse::<ImageName>() {
            Ok(_) => Ok(Self(text)),
            Err(error) => Err(chain(&error)),
        }
    }
}

impl TryFrom<String> for Namespace {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if is_name(&text, 63, "-") {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} is no namespace: expected 1 to 63 of a-z, 0-9 and \"-\", beginning and \
             ending with a letter or digit"
        ))
    }
}

impl TryFrom<String> for Amount {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        const UNITS: [&str; 14] = [
            "", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei",
        ];
        let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = text.strip_prefix(number).unwrap_or_default();
        let is_number =
            number.parse::<f64>().is_ok() && number.chars().all(|c| c.is_ascii_digit() || c == '.');
        if is_number && UNITS.contains(&unit) {
            return Ok(Self(text));
        }
        Err(format!(
            "{text:?} is no amount: expected a number and a unit of Kubernetes, such as 500m or 1Gi"
        ))
    }
}
