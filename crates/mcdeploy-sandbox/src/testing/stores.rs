//! Object-store servers on loopback, each with one empty bucket.

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use mcdeploy_api::{
    ArtifactStoreSpec, AzureBlobLocation, Empty, GcsLocation, ObjectName, Provider, S3Checksums,
    S3Location, SecretValues, StoreAccess, StoreAuth, StoreLocation,
};
use tempfile::TempDir;

use super::{
    StartError,
    child::{Server, address_with_free_port_80, free_port, temporary_directory},
};
use crate::{
    Say,
    azure_sas::{Allows, account_sas},
    pki,
    store_servers::{self, AZURE_ACCOUNT},
    tools::{self, Tool},
};

pub(super) const READY_WITHIN: Duration = Duration::from_secs(30);
const BUCKET: &str = "models";

/// An S3 server (versitygw on a directory).
#[derive(Debug)]
pub struct Versitygw {
    server: Server,
    directory: TempDir,
    access: StoreAccess,
}

impl Versitygw {
    /// Starts one.
    ///
    /// # Errors
    /// The tool is missing, the process ended, or nothing answered.
    pub async fn start() -> Result<Self, StartError> {
        let program = tools::ensure(Tool::Versitygw, &Say::stderr()).await?;
        let directory = temporary_directory("versitygw")?;
        let home = directory.path();
        let (data, sidecar) = (home.join("data"), home.join("sidecar"));
        make_directories(&[&data.join(BUCKET), &sidecar])?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        let key = pki::random_word()?;
        let secret = pki::random_word()?;
        let arguments = store_servers::versitygw(&listen, "us-east-1", &data, &sidecar);
        let environment = [
            ("ROOT_ACCESS_KEY", key.as_str()),
            ("ROOT_SECRET_KEY", secret.as_str()),
        ];
        let server = Server::start("versitygw", home, &program, &arguments, &environment)?;
        let location = StoreLocation {
            s3: Some(S3Location {
                bucket: BUCKET.into(),
                endpoint: Some(format!("http://{listen}")),
                path_style: true,
                checksums: S3Checksums::WhenSupported,
            }),
            ..StoreLocation::default()
        };
        let secret = [("accessKeyId", key), ("secretAccessKey", secret)];
        let access = access("aws", Provider::Aws, "us-east-1", location, &secret);
        let mut store = Self {
            server,
            directory,
            access,
        };
        let ready = async || connect(&listen).await;
        store.server.wait_ready(READY_WITHIN, ready).await?;
        Ok(store)
    }

    /// How to use it.
    pub fn access(&self) -> StoreAccess {
        self.access.clone()
    }

    /// The file that holds an object's bytes, so that a test can change one.
    pub fn object_file(&self, key: &str) -> PathBuf {
        self.directory.path().join("data").join(BUCKET).join(key)
    }

    /// Makes it fall silent (`true`) or go on.
    ///
    /// # Errors
    /// The process is gone.
    pub fn freeze(&self, frozen: bool) -> std::io::Result<()> {
        self.server.freeze(frozen)
    }
}

/// An Azure Blob server (azurite).
#[derive(Debug)]
pub struct Azurite {
    server: Server,
    _directory: TempDir,
    access: StoreAccess,
    key: String,
}

impl Azurite {
    /// Starts one.
    ///
    /// # Errors
    /// As [`Versitygw::start`].
    pub async fn start() -> Result<Self, StartError> {
        let script = tools::ensure(Tool::Azurite, &Say::stderr()).await?;
        let directory = temporary_directory("azurite")?;
        let home = directory.path();
        let port = free_port()?;
        let key = pki::random_word()?;
        let accounts = store_servers::azurite_accounts(key.as_bytes());
        let arguments = store_servers::azurite(&script, "127.0.0.1", port, &home.join("data"));
        let environment = [("AZURITE_ACCOUNTS", accounts.as_str())];
        let node = Path::new("node");
        let server = Server::start("azurite", home, node, &arguments, &environment)?;
        let endpoint = format!("http://127.0.0.1:{port}/{AZURE_ACCOUNT}");
        let sas = account_sas(AZURE_ACCOUNT, key.as_bytes(), Allows::Everything);
        let create = format!("{endpoint}/{BUCKET}?restype=container&{sas}");
        let location = StoreLocation {
            azure_blob: Some(AzureBlobLocation {
                endpoint,
                container: BUCKET.into(),
            }),
            ..StoreLocation::default()
        };
        let secret = [("sasToken", sas)];
        let access = access("azure", Provider::Azure, "eastus", location, &secret);
        let mut store = Self {
            server,
            _directory: directory,
            access,
            key,
        };
        let listen = format!("127.0.0.1:{port}");
        let ready = async || connect(&listen).await;
        store.server.wait_ready(READY_WITHIN, ready).await?;
        let made = store_servers::put_empty(&create).await;
        made.map_err(|problem| StartError::Bucket {
            name: "azurite",
            problem,
        })?;
        Ok(store)
    }

    /// How to use it.
    pub fn access(&self) -> StoreAccess {
        self.access.clone()
    }

    /// How to list and read it, and nothing else.
    pub fn reader(&self) -> StoreAccess {
        let sas = account_sas(AZURE_ACCOUNT, self.key.as_bytes(), Allows::Reading);
        StoreAccess {
            secret: SecretValues([("sasToken".to_owned(), sas)].into()),
            ..self.access.clone()
        }
    }

    /// Makes it fall silent (`true`) or go on.
    ///
    /// # Errors
    /// The process is gone.
    pub fn freeze(&self, frozen: bool) -> std::io::Result<()> {
        self.server.freeze(frozen)
    }
}

/// A Google Cloud Storage server (fake-gcs-server), on port 80 of a loopback address
/// of its own: Google's SDK leaves the port out of the `Host` header.
#[derive(Debug)]
pub struct FakeGcs {
    server: Server,
    directory: TempDir,
    access: StoreAccess,
}

impl FakeGcs {
    /// Starts one. Port 80 needs root.
    ///
    /// # Errors
    /// As [`Versitygw::start`].
    pub async fn start() -> Result<Self, StartError> {
        let program = tools::ensure(Tool::FakeGcs, &Say::stderr()).await?;
        let directory = temporary_directory("fake-gcs")?;
        let home = directory.path();
        let data = home.join("data");
        make_directories(&[&data.join(BUCKET)])?;
        let address: IpAddr = address_with_free_port_80()?;
        let arguments = store_servers::fake_gcs(address, "EUROPE-WEST4", &data);
        let server = Server::start("fake-gcs-server", home, &program, &arguments, &[])?;
        let location = StoreLocation {
            gcs: Some(GcsLocation {
                bucket: BUCKET.into(),
                endpoint: Some(format!("http://{address}")),
            }),
            ..StoreLocation::default()
        };
        let access = access("gcp", Provider::Gcp, "europe-west4", location, &[]);
        let mut store = Self {
            server,
            directory,
            access,
        };
        // It listens before it has read its directory, and may end in between.
        let health = format!("http://{address}/_internal/healthcheck");
        let ready = async || answers(&health).await;
        store.server.wait_ready(READY_WITHIN, ready).await?;
        Ok(store)
    }

    /// How to use it.
    pub fn access(&self) -> StoreAccess {
        self.access.clone()
    }

    /// The file that holds an object's bytes, so that a test can change one.
    pub fn object_file(&self, key: &str) -> PathBuf {
        let bucket = self.directory.path().join("data").join(BUCKET);
        bucket.join(key)
    }

    /// Makes it fall silent (`true`) or go on.
    ///
    /// # Errors
    /// The process is gone.
    pub fn freeze(&self, frozen: bool) -> std::io::Result<()> {
        self.server.freeze(frozen)
    }
}

/// What a user of the store needs to know.
fn access(
    name: &str,
    provider: Provider,
    region: &str,
    location: StoreLocation,
    secret: &[(&str, String)],
) -> StoreAccess {
    let auth = if secret.is_empty() {
        StoreAuth {
            anonymous: Some(Empty {}),
            ..StoreAuth::default()
        }
    } else {
        StoreAuth {
            secret_ref: Some(ObjectName::new(name)),
            ..StoreAuth::default()
        }
    };
    let secret = secret
        .iter()
        .map(|(key, value)| ((*key).to_owned(), value.clone()));
    StoreAccess {
        name: name.to_owned(),
        spec: ArtifactStoreSpec {
            provider,
            region: region.to_owned(),
            jurisdiction: None,
            location,
            auth,
        },
        secret: SecretValues(secret.collect::<BTreeMap<_, _>>()),
    }
}

pub(super) async fn connect(address: &str) -> Result<(), String> {
    let connected = tokio::net::TcpStream::connect(address).await;
    connected.map(drop).map_err(|error| error.to_string())
}

/// Whether a GET of `url` is answered by a success.
pub(super) async fn answers(url: &str) -> Result<(), String> {
    let answer = reqwest::get(url).await.map_err(|error| error.to_string())?;
    let answer = answer.error_for_status();
    answer.map(drop).map_err(|error| error.to_string())
}

fn make_directories(paths: &[&Path]) -> Result<(), StartError> {
    for path in paths {
        fs::create_dir_all(path).map_err(|source| StartError::Prepare {
            path: path.to_path_buf(),
            source,
        })?;
    }
    Ok(())
}
