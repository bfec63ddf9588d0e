//! Objects of one case without what may differ from case to case: uid, time, resource
//! version, generation and who wrote which field; names that are made from the model's
//! name; and the epoch, which counts leaders and decisions.
//!
//! Nothing is merely left out: a name or hash is replaced by what it stands for, after it
//! was computed anew from what it should be made of, and epochs have a check of their own.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use mcdeploy_api::{
    Epoch, FetchPlan, RoutingSnapshotSpec, RoutingSnapshotStatus, Sha256Digest, names,
};
use mcdeploy_plan::{RevisionRecord, input_hash};
use serde_json::{Value, json};

use super::dump::{Dump, Object};

/// Who wrote what when, and how often: a crash adds writes.
const LEFT_OUT: [&str; 5] = [
    "resourceVersion",
    "managedFields",
    "creationTimestamp",
    "lastTransitionTime",
    "generation",
];

/// All objects of one case, by cluster, kind and name.
pub(super) struct Normal {
    pub(super) objects: BTreeMap<String, Value>,
    decided: Epoch,
    snapshots: Vec<Epoch>,
}

impl Normal {
    pub(super) fn of(dump: &Dump, model: &str) -> Self {
        let found = dump.of(model);
        let words = words(&found, model);
        let mut normal = Self {
            objects: BTreeMap::new(),
            decided: Epoch::default(),
            snapshots: vec![],
        };
        for object in found {
            match object.kind.as_str() {
                "TrafficPolicy" => normal.decided = read(&object.value["status"]["epoch"]),
                "RoutingSnapshot" => normal.snapshots.push(published(&object.value)),
                _ => {}
            }
            let key = format!("{} {} {}", object.cluster, object.kind, object.name());
            normal
                .objects
                .insert(plain(&key, &words), whole(object, &words));
        }
        normal
    }

    /// The epoch only rises, and the newest snapshot carries the decision in force.
    pub(super) fn check_epochs(&self, at_the_crash: Epoch) {
        let Self {
            decided, snapshots, ..
        } = self;
        assert!(*decided >= at_the_crash, "{decided} after {at_the_crash}");
        assert_eq!(snapshots.iter().max(), Some(decided), "hub and members");
    }
}

/// The epoch of a snapshot, which its gateways have applied, with its hash.
fn published(snapshot: &Value) -> Epoch {
    let spec: RoutingSnapshotSpec = read(&snapshot["spec"]);
    let status: RoutingSnapshotStatus = read(&snapshot["status"]);
    assert_eq!(status.applied.len(), 1, "{status:?}");
    for applied in status.applied {
        assert_eq!((applied.epoch, &applied.hash), (spec.epoch, &spec.hash));
        assert_eq!(applied.refused, None);
    }
    spec.epoch
}

/// What is to be replaced, by what it stands for; longer words first, because shorter
/// ones may be parts of them, and before them addresses, which have any length and stand
/// for words that are still to be replaced.
fn words(objects: &[&Object], model: &str) -> Vec<(String, String)> {
    let mut words = vec![(model.to_owned(), "MODEL".to_owned())];
    let mut contents = Vec::new();
    for object in objects {
        let Object {
            cluster,
            kind,
            value,
            ..
        } = object;
        let name = object.name();
        if let Some(uid) = value["metadata"]["uid"].as_str() {
            words.push((uid.to_owned(), format!("<uid of {kind} {name}>")));
        }
        match kind.as_str() {
            "ModelVersion" => {
                let digest: Sha256Digest = read(&value["spec"]["manifestDigest"]);
                words.push((digest.hex(), format!("<digest of {name}>")));
            }
            "ControllerRevision" => words.push(revision(value)),
            "RoutingSnapshot" => {
                let spec: RoutingSnapshotSpec = read(&value["spec"]);
                assert_eq!(spec.hash, spec.content_hash(), "{value}");
                words.push((spec.hash.clone(), format!("<content for {cluster}>")));
                contents.push((cluster.clone(), spec.hash));
            }
            "Secret" => words.extend(inputs(value)),
            // An address is taken from those that are free.
            "Service" => {
                let ip = value["spec"]["clusterIP"].as_str().unwrap_or_default();
                words.push((ip.to_owned(), format!("<address of {name} in {cluster}>")));
            }
            _ => {}
        }
    }
    contents.sort();
    let decision = Sha256Digest::of(serde_json::to_vec(&contents).unwrap());
    words.push((decision.hex(), "<decision about these contents>".to_owned()));
    words.sort_by_key(|(word, meaning)| {
        let is_address = meaning.starts_with("<address");
        (!is_address, std::cmp::Reverse(word.len()))
    });
    words
}

/// A revision is named by the hash of what the user gave.
fn revision(record: &Value) -> (String, String) {
    let input: RevisionRecord = read(&record["data"]);
    let id = input.id();
    assert_eq!(
        record["metadata"]["labels"][names::LABEL_REVISION],
        id.as_str(),
        "{record}"
    );
    (id.into(), format!("<revision of {}>", input.version))
}

/// What the objects of a revision were made from, as the annotation on them has it.
fn inputs(secret: &Value) -> Option<(String, String)> {
    let id = secret["metadata"]["labels"][names::LABEL_REVISION].as_str()?;
    let plan: ByteString = read(&secret["data"]["fetch.json"]);
    let plan: FetchPlan = serde_json::from_slice(&plan.0).unwrap();
    let store = Sha256Digest::of(serde_json::to_vec(&plan.store).unwrap()).short(16);
    let what = format!("<one pod of {} from {}>", plan.version, plan.store.name);
    Some((input_hash(id, 1, &store, None, None), what))
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

fn whole(object: &Object, words: &[(String, String)]) -> Value {
    let mut value = object.value.clone();
    if object.kind == "Secret" {
        for (_, data) in value["data"].as_object_mut().into_iter().flatten() {
            let bytes: ByteString = read(data);
            *data = serde_json::from_slice(&bytes.0).unwrap();
        }
    }
    let generation = value["metadata"]["generation"].clone();
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("uid");
    }
    normal(value, &generation, words)
}

fn normal(value: Value, generation: &Value, words: &[(String, String)]) -> Value {
    let again = |value| normal(value, generation, words);
    match value {
        Value::Object(fields) => {
            let kept = fields
                .into_iter()
                .filter(|(key, _)| !LEFT_OUT.contains(&key.as_str()));
            let kept = kept.map(|(key, value)| match key.as_str() {
                "epoch" => (key, json!("<checked apart>")),
                "observedGeneration" if value == *generation => (key, json!("<generation>")),
                _ => (key, again(value)),
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => items.into_iter().map(again).collect(),
        Value::String(text) => Value::String(plain(&text, words)),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_)) => other,
    }
}

fn plain(text: &str, words: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    for (word, meaning) in words {
        text = text.replace(word, meaning);
    }
    text
}

/// An object that is not of a case, without who wrote it when.
pub(super) fn untimed(value: &Value) -> Value {
    normal(value.clone(), &Value::Null, &[])
}
