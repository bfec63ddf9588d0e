//! Everything that is in the hub and in the members, whatever kind it is.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use kube::{
    Client,
    api::{Api, DynamicObject, ListParams},
    discovery::{ApiGroup, Discovery, verbs},
};
use serde_json::Value;

use super::{mentions, normal};
use crate::cloud::World;

/// One object as it was read.
pub(super) struct Object {
    pub(super) cluster: String,
    pub(super) kind: String,
    pub(super) value: Value,
    /// The value as text, to look words up in.
    text: String,
}

impl Object {
    pub(super) fn name(&self) -> &str {
        self.value["metadata"]["name"].as_str().unwrap_or_default()
    }

    fn namespace(&self) -> &str {
        self.value["metadata"]["namespace"]
            .as_str()
            .unwrap_or_default()
    }
}

/// All objects of all clusters.
pub(super) struct Dump(Vec<Object>);

impl Dump {
    pub(super) async fn read(world: &World) -> Self {
        let hub = ("hub", world.client.kube());
        let members = world.clouds.values();
        let members = members.map(|cloud| (cloud.name, cloud.client.kube()));
        let all = std::iter::once(hub).chain(members);
        let read = join_all(all.map(|(name, client)| cluster(name, client))).await;
        Self(read.into_iter().flatten().collect())
    }

    /// What belongs to a model, wherever it is.
    pub(super) fn of(&self, model: &str) -> Vec<&Object> {
        let ours = |object: &&Object| mentions(&object.text, model);
        self.0.iter().filter(ours).collect()
    }

    /// What belongs to no case: whole where the operator writes to it or could, and by
    /// its name where the API server itself writes to it.
    pub(super) fn shared(&self) -> BTreeMap<String, Value> {
        const WHOLE: [&str; 4] = ["ArtifactStore", "MemberCluster", "Namespace", "Secret"];
        let shared = self.0.iter().filter(|object| !is_of_a_case(object));
        let named = shared.map(|object| {
            let Object {
                cluster,
                kind,
                value,
                text: _,
            } = object;
            let key = format!("{cluster} {kind} {}/{}", object.namespace(), object.name());
            let whole = WHOLE.contains(&kind.as_str());
            let value = if whole {
                normal::untimed(value)
            } else {
                Value::Null
            };
            (key, value)
        });
        named.collect()
    }
}

/// Models are named `m` and three digits.
fn is_of_a_case(object: &Object) -> bool {
    let mut words = object.text.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| {
        let digits = word.strip_prefix('m').unwrap_or_default();
        digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

async fn cluster(name: &str, client: &Client) -> Vec<Object> {
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    let kinds = discovery.groups().flat_map(ApiGroup::recommended_resources);
    // The API server notes what its own loops do; the operator writes no events.
    let kinds =
        kinds.filter(|(kind, may)| may.supports_operation(verbs::LIST) && kind.kind != "Event");
    let mut objects = Vec::new();
    for (resource, _) in kinds {
        let api = Api::<DynamicObject>::all_with(client.clone(), &resource);
        objects.extend(list(&api).await.into_iter().map(|object| {
            let value = serde_json::to_value(object).unwrap();
            Object {
                cluster: name.to_owned(),
                kind: resource.kind.clone(),
                text: value.to_string(),
                value,
            }
        }));
    }
    objects
}

/// The API server answers 429 while it makes room for a kind.
async fn list(api: &Api<DynamicObject>) -> Vec<DynamicObject> {
    for _ in 0..100 {
        match api.list(&ListParams::default()).await {
            Ok(found) => return found.items,
            Err(kube::Error::Api(status)) if status.code == 429 => {}
            Err(error) => panic!("{error}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    panic!("an API server stays busy");
}
