//! How far the node is: one object, written when that changes.

use k8s_openapi::{
    api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta,
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use mcdeploy_api::{NodeCacheReport, StagedVersion, names};
use mcdeploy_cluster::{ClusterClient, Force};

use crate::Settings;

pub(crate) struct Reporter<'a> {
    client: &'a ClusterClient,
    settings: &'a Settings,
    written: Option<NodeCacheReport>,
}

impl<'a> Reporter<'a> {
    pub(crate) fn new(client: &'a ClusterClient, settings: &'a Settings) -> Self {
        Self {
            client,
            settings,
            written: None,
        }
    }

    /// Says it, unless it was said already. Answers whether it is said now.
    pub(crate) async fn say(&mut self, versions: Vec<StagedVersion>) -> bool {
        let report = NodeCacheReport {
            node: self.settings.node.clone(),
            versions,
        };
        if self.written.as_ref() == Some(&report) {
            return true;
        }
        let object = self.object(&report);
        let manager = names::FIELD_MANAGER_AGENT;
        match self.client.apply(&object, manager, Force::Yes).await {
            Ok(_) => {
                self.written = Some(report);
                true
            }
            Err(error) => {
                tracing::warn!(error = %error, "the report of this node is not written");
                false
            }
        }
    }

    fn object(&self, report: &NodeCacheReport) -> ConfigMap {
        let Settings {
            node,
            pod,
            namespace,
            ..
        } = self.settings;
        // A node that goes takes its report along, by way of the agent's pod.
        let owner = pod.as_ref().map(|(name, uid)| OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: name.clone(),
            uid: uid.clone(),
            ..OwnerReference::default()
        });
        let labels = [
            (names::LABEL_MANAGED_BY, names::MANAGED_BY),
            (names::LABEL_NODE_CACHE, "report"),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        // Plain data always serialises.
        let text = serde_json::to_string(report).unwrap_or_default();
        ConfigMap {
            metadata: ObjectMeta {
                name: Some(names::node_report_name(node)),
                namespace: Some(namespace.clone()),
                labels: Some(labels.into()),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            data: Some([(names::NODE_REPORT_KEY.to_owned(), text)].into()),
            ..ConfigMap::default()
        }
    }
}
