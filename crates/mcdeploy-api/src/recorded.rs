//! What the hub keeps, read by another version of mcdeploy than the one that wrote it.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::{Deserialize, Deserializer};

use crate::{Container, EnvVar, ResourceRequirements};

/// A container of a record, which another version of mcdeploy may have written: fields that
/// this one does not know are skipped, while a user's are refused. What was rendered of them
/// stands beside the record, and the id is the object's, so that nothing is lost by it.
///
/// # Errors
/// No image, or a field of another type.
pub fn recorded_container<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Container, D::Error> {
    #[derive(Deserialize)]
    struct Known {
        image: String,
        #[serde(default)]
        args: Vec<String>,
        #[serde(default)]
        env: Vec<KnownVariable>,
        resources: Option<KnownResources>,
    }
    #[derive(Deserialize)]
    struct KnownVariable {
        name: String,
        #[serde(default)]
        value: String,
    }
    #[derive(Deserialize)]
    struct KnownResources {
        #[serde(default)]
        requests: BTreeMap<String, Quantity>,
        #[serde(default)]
        limits: BTreeMap<String, Quantity>,
    }
    let Known {
        image,
        args,
        env,
        resources,
    } = Known::deserialize(deserializer)?;
    let variable = |KnownVariable { name, value }| EnvVar { name, value };
    let resources = resources
        .map(|KnownResources { requests, limits }| ResourceRequirements { requests, limits });
    Ok(Container {
        image,
        args,
        env: env.into_iter().map(variable).collect(),
        resources,
    })
}
