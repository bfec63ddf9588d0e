//! What registries have of images. Manifests are read and blobs looked for; no bytes of
//! layers pass here.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mcdeploy_api::{MemberCluster, PinnedImage, Reason, RepositoryAccess, SecretValues};
use mcdeploy_cluster::{ClusterClient, ClusterError};
use mcdeploy_plan::{ImageAsk, ImageState};
use mcdeploy_registry::{Credentials, Repository, RepositoryAddress, image_state};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::secrets;

/// How long an answer is good, by what it says. A digest that is there stays, unless
/// somebody deletes it.
const WHOLE: Duration = Duration::from_mins(5);
const MISSING: Duration = Duration::from_secs(1);
const UNKNOWN: Duration = Duration::from_secs(5);
/// Longest time for one look: an index of many platforms takes many requests.
const LONGEST_LOOK: Duration = Duration::from_mins(1);

/// What was last seen in registries.
#[derive(Default)]
pub(crate) struct Registries {
    looked: Arc<Mutex<HashMap<PinnedImage, Looked>>>,
}

struct Looked {
    access: RepositoryAccess,
    /// When the answer came, and what it was; `None`: there was none yet.
    answer: Option<(Instant, ImageState)>,
    /// A look is under way.
    looking: bool,
}

/// How to use the registries of all members.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) access: mcdeploy_exec::Registries,
    /// Why one cannot be used, by prefix.
    problems: BTreeMap<String, String>,
}

/// Reads the Secrets that members' registries name.
pub(crate) async fn load(
    hub: &ClusterClient,
    namespace: &str,
    members: &[MemberCluster],
) -> Result<Loaded, ClusterError> {
    let mut loaded = Loaded::default();
    for registry in members
        .iter()
        .filter_map(|m| m.spec.image_registry.as_ref())
    {
        let mut values = SecretValues::default();
        if let Some(reference) = &registry.secret_ref {
            let found = match secrets::read(hub, namespace, &reference.name).await? {
                Ok(found) => found,
                Err(why) => {
                    let problem = format!("imageRegistry.secretRef: {why}");
                    loaded.problems.insert(registry.prefix.clone(), problem);
                    continue;
                }
            };
            let data = found.and_then(|secret| secret.data).unwrap_or_default();
            for key in ["username", "password"] {
                let value = data
                    .get(key)
                    .map(|value| String::from_utf8(value.0.clone()));
                let Some(Ok(value)) = value else {
                    let name = &reference.name;
                    let problem = format!(
                        "Secret {name:?} in namespace {namespace:?} of the hub has no text under {key:?}"
                    );
                    loaded.problems.insert(registry.prefix.clone(), problem);
                    continue;
                };
                values.0.insert(key.to_owned(), value);
            }
        }
        loaded.access.add(registry, values);
    }
    Ok(loaded)
}

impl Registries {
    /// Looks for an image, unless that was done a moment ago. Answers within `deadline`:
    /// a look that takes longer goes on, and a later call gets its answer.
    pub(crate) async fn look(
        &self,
        wanted: &ImageAsk,
        loaded: &Loaded,
        deadline: Duration,
        cancel: &CancellationToken,
    ) -> ImageState {
        let ImageAsk { image, registry } = wanted;
        if let Some(problem) = loaded.problems.get(&registry.prefix) {
            return unknown(Reason::RegistryDenied, problem.clone());
        }
        let access = loaded.access.access(image);
        if !self.begin(image, &access) {
            return self.last(image);
        }
        let looked = Arc::clone(&self.looked);
        let (asked, cancel) = (image.clone(), cancel.clone());
        let look = tokio::spawn(async move {
            let state = ask(&asked, access, &cancel).await;
            if let Some(entry) = lock(&looked).get_mut(&asked) {
                entry.answer = Some((Instant::now(), state));
                entry.looking = false;
            }
        });
        // Either way what is known by then is the answer.
        let _ = tokio::time::timeout(deadline, look).await;
        self.last(image)
    }

    /// What was last seen of an image, however long ago.
    pub(crate) fn last(&self, image: &PinnedImage) -> ImageState {
        let looked = lock(&self.looked);
        let answer = looked.get(image).and_then(|entry| entry.answer.as_ref());
        answer.map_or_else(
            || {
                let message = format!("{} did not answer yet", image.location());
                unknown(Reason::RegistryUnreachable, message)
            },
            |(_, state)| state.clone(),
        )
    }

    /// Whether it is time for a look, which is then under way.
    fn begin(&self, image: &PinnedImage, access: &RepositoryAccess) -> bool {
        let mut looked = lock(&self.looked);
        if let Some(entry) = looked.get_mut(image).filter(|e| e.access == *access) {
            let is_good = entry.answer.as_ref().is_some_and(|(at, state)| {
                at.elapsed()
                    < match state {
                        ImageState::Whole => WHOLE,
                        ImageState::Missing => MISSING,
                        ImageState::Unknown { .. } => UNKNOWN,
                    }
            });
            let begins = !entry.looking && !is_good;
            entry.looking |= begins;
            return begins;
        }
        let entry = Looked {
            access: access.clone(),
            answer: None,
            looking: true,
        };
        looked.insert(image.clone(), entry);
        true
    }
}

async fn ask(
    image: &PinnedImage,
    access: RepositoryAccess,
    cancel: &CancellationToken,
) -> ImageState {
    let RepositoryAccess {
        registry,
        name,
        plain_http,
        secret,
    } = access;
    let address = RepositoryAddress {
        registry,
        name,
        plain_http,
    };
    let repository = Repository::new(address, Credentials::from_secret(&secret));
    let look = image_state(&repository, &image.digest, cancel);
    match tokio::time::timeout(LONGEST_LOOK, look).await {
        Ok(Ok(mcdeploy_registry::ImageState::Whole)) => ImageState::Whole,
        Ok(Ok(mcdeploy_registry::ImageState::Missing(_))) => ImageState::Missing,
        Ok(Err(error)) => unknown(error.reason(), error.to_string()),
        Err(_) => {
            let seconds = LONGEST_LOOK.as_secs();
            let message = format!("{}: no answer within {seconds} s", image.location());
            unknown(Reason::RegistryUnreachable, message)
        }
    }
}

fn unknown(reason: Reason, message: String) -> ImageState {
    ImageState::Unknown { reason, message }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
