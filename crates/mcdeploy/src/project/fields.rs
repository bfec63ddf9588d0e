//! Values of `mcdeploy.yaml` that are checked while it is read, so that a mistake has its
//! line and column.

use std::{collections::BTreeMap, fmt};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use mcdeploy_api::ResourceRequirements;
use mcdeploy_registry::ImageName;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, Visitor},
};

use super::amounts;
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

/// Requests and limits.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Resources {
    requests: Amounts,
    limits: Amounts,
}

/// An amount of each resource, as Kubernetes writes it: `500m`, `1Gi`.
#[derive(Clone, Debug, Default, PartialEq)]
struct Amounts(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Amounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AmountsVisitor).map(Self)
    }
}

struct AmountsVisitor;

impl<'de> Visitor<'de> for AmountsVisitor {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("amounts, such as {cpu: 500m, memory: 1Gi}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut all = BTreeMap::new();
        while let Some(resource) = entries.next_key::<String>()? {
            let amount = entries.next_value_seed(Amount(&resource))?;
            all.insert(resource, amount);
        }
        Ok(all)
    }
}

/// An amount of a resource: judged by what it is of, where it stands.
struct Amount<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Amount<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        // Without quotes, `2` reads as its text.
        let amount = String::deserialize(deserializer)?;
        match amounts::problem(self.0, &amount) {
            None => Ok(amount),
            Some(problem) => Err(D::Error::custom(problem)),
        }
    }
}

impl From<Resources> for ResourceRequirements {
    fn from(Resources { requests, limits }: Resources) -> Self {
        let amounts = |Amounts(all): Amounts| {
            let all = all.into_iter();
            all.map(|(what, amount)| (what, Quantity(amount))).collect()
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
