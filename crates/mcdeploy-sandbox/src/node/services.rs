//! What a provider offers beside Kubernetes: a registry and an object store.

use std::{net::SocketAddr, time::Duration};

use mcdeploy_api::{
    ArtifactStoreSpec, AzureBlobLocation, Empty, GcsLocation, ObjectName, S3Checksums, S3Location,
    SecretValues, StoreAccess, StoreAuth, StoreLocation,
};

use super::{Programs, program, store_secret, wait, write};
use crate::{
    Cloud, SandboxError,
    azure_sas::{Allows, account_sas},
    cloud::REGISTRY_PORT,
    host, paths,
    process::Launch,
    store_servers::{self, AZURE_ACCOUNT},
    world::World,
};

/// Name of every store's bucket.
const BUCKET: &str = "models";
const S3_PORT: u16 = 7070;
const BLOB_PORT: u16 = 10000;
const GCS_PORT: u16 = 80;
const ACCESS_KEY: &str = "mcdeploy";

/// The registry and the store.
pub(super) fn programs(cloud: Cloud, programs: &Programs) -> Result<Vec<Launch>, SandboxError> {
    let mut all = vec![registry(cloud)?];
    all.extend(store(cloud, programs)?);
    Ok(all)
}

/// Their names.
pub(super) fn names(cloud: Cloud) -> impl Iterator<Item = &'static str> {
    let store = match cloud {
        Cloud::Hub => None,
        Cloud::Aws => Some("versitygw"),
        Cloud::Gcp => Some("fake-gcs-server"),
        Cloud::Azure => Some("azurite"),
    };
    ["registry"].into_iter().chain(store)
}

/// Waits until both listen, and makes the bucket.
pub(super) async fn wait_ready(world: &World) -> Result<(), SandboxError> {
    let cloud = world.cloud;
    let ports = [Some(REGISTRY_PORT), store_port(cloud)];
    for (name, port) in names(cloud).zip(ports.into_iter().flatten()) {
        let address = SocketAddr::from((cloud.address(), port));
        wait(cloud, name, Duration::from_mins(1), async || {
            let connected = tokio::net::TcpStream::connect(address).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
        .await?;
    }
    if cloud == Cloud::Azure {
        let sas = sas(Allows::Everything)?;
        let url = format!("{}/{BUCKET}?restype=container&{sas}", blob_endpoint());
        let made = store_servers::put_empty(&url).await;
        made.map_err(|problem| SandboxError::Bucket { cloud, problem })?;
    }
    Ok(())
}

/// How to use a member's object store.
pub(crate) fn store_access(cloud: Cloud) -> Result<Option<StoreAccess>, SandboxError> {
    let Some(provider) = cloud.provider() else {
        return Ok(None);
    };
    let (location, secret) = location_and_secret(cloud)?;
    let auth = if secret.is_empty() {
        StoreAuth {
            anonymous: Some(Empty {}),
            ..StoreAuth::default()
        }
    } else {
        StoreAuth {
            secret_ref: Some(ObjectName::new(format!("store-{cloud}"))),
            read_secret_ref: store_reader(cloud)?
                .map(|_| ObjectName::new(format!("store-{cloud}-reader"))),
            ..StoreAuth::default()
        }
    };
    let secret = secret
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value));
    Ok(Some(StoreAccess {
        name: cloud.name().to_owned(),
        spec: ArtifactStoreSpec {
            provider,
            region: cloud.region().to_owned(),
            jurisdiction: None,
            location,
            auth,
        },
        secret: SecretValues(secret.collect()),
    }))
}

/// The credential of pods that only read, where the store's server knows such ones.
pub(crate) fn store_reader(cloud: Cloud) -> Result<Option<SecretValues>, SandboxError> {
    Ok(match cloud {
        Cloud::Azure => {
            let token = ("sasToken".to_owned(), sas(Allows::Reading)?);
            Some(SecretValues([token].into()))
        }
        Cloud::Hub | Cloud::Aws | Cloud::Gcp => None,
    })
}

type Secret = Vec<(&'static str, String)>;

fn location_and_secret(cloud: Cloud) -> Result<(StoreLocation, Secret), SandboxError> {
    let mut location = StoreLocation::default();
    let address = cloud.address();
    let bucket = BUCKET.to_owned();
    let secret = match cloud {
        Cloud::Hub => Vec::new(),
        Cloud::Aws => {
            location.s3 = Some(S3Location {
                bucket,
                endpoint: Some(format!("http://{address}:{S3_PORT}")),
                path_style: true,
                checksums: S3Checksums::WhenSupported,
            });
            let secret = store_secret(cloud)?;
            vec![
                ("accessKeyId", ACCESS_KEY.to_owned()),
                ("secretAccessKey", secret),
            ]
        }
        Cloud::Gcp => {
            location.gcs = Some(GcsLocation {
                bucket,
                endpoint: Some(format!("http://{address}")),
            });
            Vec::new()
        }
        Cloud::Azure => {
            location.azure_blob = Some(AzureBlobLocation {
                endpoint: blob_endpoint(),
                container: bucket,
            });
            vec![("sasToken", sas(Allows::Everything)?)]
        }
    };
    Ok((location, secret))
}

fn blob_endpoint() -> String {
    format!(
        "http://{}:{BLOB_PORT}/{AZURE_ACCOUNT}",
        Cloud::Azure.address()
    )
}

fn sas(allows: Allows) -> Result<String, SandboxError> {
    let key = store_secret(Cloud::Azure)?;
    Ok(account_sas(AZURE_ACCOUNT, key.as_bytes(), allows))
}

fn store_port(cloud: Cloud) -> Option<u16> {
    match cloud {
        Cloud::Hub => None,
        Cloud::Aws => Some(S3_PORT),
        Cloud::Gcp => Some(GCS_PORT),
        Cloud::Azure => Some(BLOB_PORT),
    }
}

fn registry(cloud: Cloud) -> Result<Launch, SandboxError> {
    let data = paths::cloud(cloud).join("registry");
    let config = format!(
        "version: 0.1\nlog:\n  level: warn\n  accesslog:\n    disabled: true\n\
         storage:\n  filesystem:\n    rootdirectory: {}\n\
         http:\n  addr: {}:{REGISTRY_PORT}\n",
        data.display(),
        cloud.address(),
    );
    let config = write(cloud, "registry.yml", &config)?;
    let arguments = ["serve".into(), config.display().to_string()];
    Ok(program("registry", "docker-registry", arguments))
}

fn store(cloud: Cloud, programs: &Programs) -> Result<Option<Launch>, SandboxError> {
    let home = paths::cloud(cloud).join("store");
    let (data, sidecar) = (home.join("data"), home.join("sidecar"));
    let address = cloud.address();
    let region = cloud.region();
    let store = match cloud {
        Cloud::Hub => return Ok(None),
        Cloud::Aws => {
            host::make_directory(&data.join(BUCKET))?;
            host::make_directory(&sidecar)?;
            let listen = format!("{address}:{S3_PORT}");
            let arguments = store_servers::versitygw(&listen, region, &data, &sidecar);
            let mut store = program("versitygw", &programs.versitygw, arguments);
            let secret = store_secret(cloud)?;
            let access_key = ACCESS_KEY.to_owned();
            store.environment.push(("ROOT_ACCESS_KEY", access_key));
            store.environment.push(("ROOT_SECRET_KEY", secret));
            store
        }
        Cloud::Gcp => {
            host::make_directory(&data.join(BUCKET))?;
            let arguments = store_servers::fake_gcs(address.into(), region, &data);
            program("fake-gcs-server", &programs.fake_gcs, arguments)
        }
        Cloud::Azure => {
            host::make_directory(&data)?;
            let script = &programs.azurite;
            let listen = address.to_string();
            let arguments = store_servers::azurite(script, &listen, BLOB_PORT, &data);
            let mut store = program("azurite", "node", arguments);
            let accounts = store_servers::azurite_accounts(store_secret(cloud)?.as_bytes());
            store.environment.push(("AZURITE_ACCOUNTS", accounts));
            store
        }
    };
    Ok(Some(store))
}
