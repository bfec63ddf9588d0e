//! What a gateway is fed: snapshots and the addresses behind them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
};

use mcdeploy_api::RoutingSnapshotSpec;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Namespace and name of an object. Text form: `<namespace>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// The key of the object `name` in `namespace`.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl Serialize for ObjectKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ObjectKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let (namespace, name) = text
            .split_once('/')
            .ok_or_else(|| D::Error::custom("expected <namespace>/<name>"))?;
        Ok(Self::new(namespace, name))
    }
}

/// Everything that the member's API server says, as last seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Input {
    /// Routing snapshots.
    pub snapshots: BTreeMap<ObjectKey, RoutingSnapshotSpec>,
    /// Addresses of ready pods behind each Service.
    pub endpoints: BTreeMap<ObjectKey, BTreeSet<SocketAddr>>,
}
