//! Opens the stores that a user names, with the hub's help only where a name asks for it.

use std::sync::Arc;

use kube::ResourceExt;
use mcdeploy_api::{
    ArtifactStore, MemberCluster, SecretValues, StoreAccess, check_jurisdiction,
    names::SYSTEM_NAMESPACE,
};
use mcdeploy_plan::transfer::{Location, Site};
use mcdeploy_store::{Store, StoreError, open_directory};

use crate::{
    args::{HubArgs, StoreArgs},
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    hub::Hub,
    names::did_you_mean,
    store_ref::{Access, StoreRef, StoreUrl},
};

/// A store as a user named it, not yet opened.
#[derive(Debug)]
pub(crate) struct Named {
    /// Its name in tables and errors.
    pub(crate) name: String,
    /// Where its bytes are.
    pub(crate) site: Site,
    source: Source,
}

impl Named {
    /// Whether it is a place that no hub knows.
    pub(crate) fn is_url(&self) -> bool {
        match self.source {
            Source::Url(_) => true,
            Source::Hub(_) => false,
        }
    }
}

#[derive(Debug)]
enum Source {
    Hub(Box<ArtifactStore>),
    Url(Box<StoreUrl>),
}

/// Stores by name or URL.
pub(crate) struct Stores<'a> {
    environment: &'a Environment,
    endpoint: Option<&'a str>,
    hub: Option<Hub>,
    known: Vec<ArtifactStore>,
}

impl<'a> Stores<'a> {
    /// [`Self::find`] with the flags of a command of the group.
    pub(crate) async fn of(
        wanted: &[StoreRef],
        args: &'a StoreArgs,
        environment: &'a Environment,
    ) -> Result<(Self, Vec<Named>), Failure> {
        Self::find(wanted, &args.hub, args.endpoint.as_deref(), environment).await
    }

    /// Asks the hub only when one of `wanted` is a name, or when there is none at all.
    pub(crate) async fn find(
        wanted: &[StoreRef],
        hub: &HubArgs,
        endpoint: Option<&'a str>,
        environment: &'a Environment,
    ) -> Result<(Self, Vec<Named>), Failure> {
        let by_name = |store: &StoreRef| matches!(store, StoreRef::Hub(_));
        let mut stores = Self {
            environment,
            endpoint,
            hub: None,
            known: vec![],
        };
        if wanted.is_empty() || wanted.iter().any(by_name) {
            let hub = Hub::connect(hub).await?;
            stores.known = hub.list(&hub.cluster_scoped()).await?;
            stores.hub = Some(hub);
        }
        let named = if wanted.is_empty() {
            stores.known.iter().map(of_hub).collect()
        } else {
            let named = wanted.iter().map(|store| stores.named(store));
            named.collect::<Result<_, _>>()?
        };
        Ok((stores, named))
    }

    /// The hub, when it was asked.
    pub(crate) fn hub(&self) -> Option<&Hub> {
        self.hub.as_ref()
    }

    /// Every `ArtifactStore` of the hub; none when it was not asked.
    pub(crate) fn all_of_hub(&self) -> Vec<Named> {
        self.known.iter().map(of_hub).collect()
    }

    fn named(&self, wanted: &StoreRef) -> Result<Named, Failure> {
        match wanted {
            StoreRef::Url(url) => {
                let location = url.location(self.environment);
                if let Some(said) = &url.jurisdiction {
                    let checked = check_jurisdiction(location.provider, &location.region, said);
                    checked.map_err(|error| {
                        Failure::new(ExitStatus::Usage, format!("{url}: {error}"))
                    })?;
                }
                Ok(Named {
                    name: url.to_string(),
                    site: Site {
                        name: url.to_string(),
                        location,
                        jurisdiction: url.jurisdiction.clone(),
                    },
                    source: Source::Url(Box::new(url.clone())),
                })
            }
            StoreRef::Hub(name) => {
                let found = self.known.iter().find(|store| store.name_any() == *name);
                found.map(of_hub).ok_or_else(|| unknown(name, &self.known))
            }
        }
    }

    /// Opens a store. Makes no request to it.
    pub(crate) async fn open(&self, named: &Named) -> Result<Arc<dyn Store>, Failure> {
        let failed = |error: StoreError| {
            let text = format!("cannot open store {:?}: {}", named.name, chain(&error));
            Failure::new(ExitStatus::Failed, text)
        };
        let access = match &named.source {
            Source::Hub(store) => match &self.hub {
                Some(hub) => access(hub, store).await?,
                None => return Err(unknown(&named.name, &self.known)),
            },
            Source::Url(url) => match url.access(self.environment, self.endpoint) {
                Access::Cloud(access) => *access,
                Access::Directory(path) => return open_directory(path).map_err(failed),
            },
        };
        mcdeploy_store::open(&access).await.map_err(failed)
    }

    /// Opens all of them: names with stores, in their order.
    pub(crate) async fn open_all(
        &self,
        named: &[Named],
    ) -> Result<Vec<(String, Arc<dyn Store>)>, Failure> {
        let mut open = vec![];
        for named in named {
            open.push((named.name.clone(), self.open(named).await?));
        }
        Ok(open)
    }

    /// The hub's member clusters, where transfers run; none when the hub was not asked.
    pub(crate) async fn places(&self) -> Result<Vec<Site>, Failure> {
        let Some(hub) = &self.hub else {
            return Ok(vec![]);
        };
        let members: Vec<MemberCluster> = hub.list(&hub.cluster_scoped()).await?;
        let site = |member: &MemberCluster| Site {
            name: member.name_any(),
            location: Location {
                provider: member.spec.provider,
                region: member.spec.region.clone(),
            },
            jurisdiction: member.spec.jurisdiction.clone(),
        };
        Ok(members.iter().map(site).collect())
    }
}

fn of_hub(store: &ArtifactStore) -> Named {
    let name = store.name_any();
    Named {
        site: Site {
            name: name.clone(),
            location: Location {
                provider: store.spec.provider,
                region: store.spec.region.clone(),
            },
            jurisdiction: store.spec.jurisdiction.clone(),
        },
        source: Source::Hub(Box::new(store.clone())),
        name,
    }
}

/// There is no such `ArtifactStore`.
pub(crate) fn unknown(wanted: &str, known: &[ArtifactStore]) -> Failure {
    let names: Vec<String> = known.iter().map(ResourceExt::name_any).collect();
    let meant = did_you_mean(wanted, names.iter().map(String::as_str));
    let text = format!("there is no ArtifactStore {meant}: {}", list(&names));
    Failure::new(ExitStatus::NotFound, text)
        .hint("nothing was done; `mcdeploy get stores` lists them, and a URL such as s3://BUCKET needs no hub")
}

/// The names, in words.
pub(crate) fn list(names: &[String]) -> String {
    if names.is_empty() {
        return "there are none yet".to_owned();
    }
    format!("there are {}", names.join(", "))
}

/// The store with its credentials, which the operator's namespace holds.
pub(crate) async fn access(hub: &Hub, store: &ArtifactStore) -> Result<StoreAccess, Failure> {
    let spec = store.spec.clone();
    let name = store.name_any();
    let Some(reference) = &spec.auth.secret_ref else {
        return Ok(StoreAccess {
            name,
            spec,
            secret: SecretValues::default(),
        });
    };
    let secret = hub.system_secret(&reference.name).await?.ok_or_else(|| {
        let secret = &reference.name;
        let text = format!(
            "ArtifactStore {name:?} names the Secret {SYSTEM_NAMESPACE}/{secret}, which does not exist"
        );
        Failure::new(ExitStatus::Auth, text).hint("create it with the store's credentials")
    })?;
    let values = secret.data.unwrap_or_default().into_iter();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let secret = values.map(|(key, value)| (key, text(value.0))).collect();
    Ok(StoreAccess {
        name,
        spec,
        secret: SecretValues(secret),
    })
}
