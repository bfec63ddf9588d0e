//! The stores that are measured on, each behind a counting proxy, and the tools with what
//! they need to use them.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use mcdeploy_api::{Provider, StoreAccess};
use mcdeploy_plan::transfer::Location;
use mcdeploy_sandbox::{
    Say,
    testing::{Azurite, FakeGcs, Proxy, Versitygw},
    tools::{self, Tool},
};
use mcdeploy_store::{ObjectKey, Store, open};
use rand::{Rng as _, RngCore as _, SeedableRng as _, rngs::SmallRng};
use tokio_util::sync::CancellationToken;

use crate::child::{self, Usage};

/// The model that every version belongs to.
pub(crate) const MODEL: &str = "bench";
/// A second bucket on the S3 server, so that one S3 copies to another.
const SECOND: &str = "second";

/// A bucket as the tools see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// S3, where versions are pushed to.
    S3,
    /// Another bucket of the same server.
    Second,
    /// Azure Blob.
    Azure,
    /// GCS.
    Gcs,
}

impl Bucket {
    /// The three providers.
    pub(crate) const CLOUDS: [Self; 3] = [Self::S3, Self::Azure, Self::Gcs];

    /// A short word.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Second => "second",
            Self::Azure => "azure",
            Self::Gcs => "gcs",
        }
    }

    /// Where it is said to be, for prices.
    pub(crate) fn location(self) -> Location {
        let (provider, region) = match self {
            Self::S3 | Self::Second => (Provider::Aws, "us-east-1"),
            Self::Azure => (Provider::Azure, "westeurope"),
            Self::Gcs => (Provider::Gcp, "europe-west4"),
        };
        Location {
            provider,
            region: region.to_owned(),
        }
    }
}

/// One server.
struct Side {
    direct: StoreAccess,
    through: StoreAccess,
    proxy: Arc<Proxy>,
}

impl Side {
    async fn new(direct: StoreAccess) -> anyhow::Result<Self> {
        let (proxy, through) = Proxy::in_front_of(&direct).await?;
        Ok(Self {
            direct,
            through,
            proxy: Arc::new(proxy),
        })
    }
}

/// Everything that a row needs.
pub(crate) struct Lab {
    s3: Side,
    azure: Side,
    gcs: Side,
    _servers: (Versitygw, Azurite, FakeGcs),
    home: tempfile::TempDir,
    mcdeploy: PathBuf,
    rclone: PathBuf,
    s5cmd: PathBuf,
    cancel: CancellationToken,
}

impl Lab {
    /// Starts the servers. `mcdeploy` is the program that is measured.
    pub(crate) async fn start(mcdeploy: &Path) -> anyhow::Result<Self> {
        let say = Say::stderr();
        let servers = (
            Versitygw::start().await?,
            Azurite::start().await?,
            FakeGcs::start().await?,
        );
        let bucket = servers.0.object_file("");
        let data = bucket.parent().context("the bucket is in a directory")?;
        std::fs::create_dir(data.join(SECOND))?;
        Ok(Self {
            s3: Side::new(servers.0.access()).await?,
            azure: Side::new(servers.1.access()).await?,
            gcs: Side::new(servers.2.access()).await?,
            _servers: servers,
            home: tempfile::tempdir()?,
            mcdeploy: std::fs::canonicalize(mcdeploy)
                .with_context(|| format!("find {}", mcdeploy.display()))?,
            rclone: tools::ensure(Tool::Rclone, &say).await?,
            s5cmd: tools::ensure(Tool::S5cmd, &say).await?,
            cancel: CancellationToken::new(),
        })
    }

    /// What nobody cancels.
    pub(crate) fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    fn side(&self, bucket: Bucket) -> &Side {
        match bucket {
            Bucket::S3 | Bucket::Second => &self.s3,
            Bucket::Azure => &self.azure,
            Bucket::Gcs => &self.gcs,
        }
    }

    /// The proxy in front of a bucket.
    pub(crate) fn proxy(&self, bucket: Bucket) -> Arc<Proxy> {
        self.side(bucket).proxy.clone()
    }

    /// Counts from zero, everywhere.
    pub(crate) fn reset_counts(&self) {
        for bucket in Bucket::CLOUDS {
            self.proxy(bucket).reset_counts();
        }
    }

    /// Latency of every request, everywhere.
    pub(crate) fn set_latency(&self, latency: Duration) {
        for bucket in Bucket::CLOUDS {
            self.proxy(bucket).set_latency(latency);
        }
    }

    /// A URL for mcdeploy, through the proxy.
    pub(crate) fn url(&self, bucket: Bucket) -> anyhow::Result<String> {
        let location = &self.side(bucket).through.spec.location;
        let region = bucket.location().region;
        let none = "the server has an endpoint";
        Ok(match bucket {
            Bucket::S3 | Bucket::Second => {
                let s3 = location.s3.as_ref().context(none)?;
                let endpoint = s3.endpoint.as_ref().context(none)?;
                let name = if bucket == Bucket::Second {
                    SECOND
                } else {
                    &s3.bucket
                };
                format!("s3://{name}?region={region}&endpoint={endpoint}")
            }
            Bucket::Azure => {
                let azure = location.azure_blob.as_ref().context(none)?;
                let (name, endpoint) = (&azure.container, &azure.endpoint);
                format!("az://account/{name}?region={region}&endpoint={endpoint}")
            }
            Bucket::Gcs => {
                let gcs = location.gcs.as_ref().context(none)?;
                let endpoint = gcs.endpoint.as_ref().context(none)?;
                let name = &gcs.bucket;
                format!("gs://{name}?region={region}&anonymous&endpoint={endpoint}")
            }
        })
    }

    fn secret(access: &StoreAccess, key: &str) -> String {
        access.secret.0.get(key).cloned().unwrap_or_default()
    }

    /// A program on the core that is kept for what is measured, with nothing of this
    /// machine's configuration.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("taskset");
        command
            .args(["-c", "1"])
            .arg(program)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_REGION", "us-east-1")
            .env(
                "AWS_ACCESS_KEY_ID",
                Self::secret(&self.s3.direct, "accessKeyId"),
            )
            .env(
                "AWS_SECRET_ACCESS_KEY",
                Self::secret(&self.s3.direct, "secretAccessKey"),
            )
            .current_dir(self.home.path());
        command
    }

    /// `mcdeploy` with these arguments.
    pub(crate) fn mcdeploy(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.mcdeploy);
        let sas = Self::secret(&self.azure.direct, "sasToken");
        command.env("AZURE_STORAGE_SAS_TOKEN", sas).args(args);
        command
    }

    /// `mcdeploy artifacts replicate`, from the cloud's own region.
    pub(crate) fn replicate(
        &self,
        version: &str,
        from: Bucket,
        to: &[Bucket],
    ) -> anyhow::Result<Command> {
        let urls: Vec<String> = to
            .iter()
            .map(|to| self.url(*to))
            .collect::<Result<_, _>>()?;
        let version = format!("{MODEL}:{version}");
        let (from_url, to_urls) = (self.url(from)?, urls.join(","));
        let here = from.location().to_string();
        let args = ["artifacts", "replicate", &version, "--from", &from_url];
        let more = ["--to", &to_urls, "--here", &here, "-o", "json"];
        Ok(self.mcdeploy(&[&args[..], &more[..]].concat()))
    }

    /// `rclone` with these arguments; remotes are named as buckets are.
    pub(crate) fn rclone(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.rclone);
        let s3 = self.s3.through.spec.location.s3.as_ref();
        let azure = self.azure.through.spec.location.azure_blob.as_ref();
        let gcs = self.gcs.through.spec.location.gcs.as_ref();
        let s3_endpoint = s3.and_then(|s3| s3.endpoint.clone()).unwrap_or_default();
        let gcs_endpoint = gcs.and_then(|gcs| gcs.endpoint.clone()).unwrap_or_default();
        let azure_endpoint = azure
            .map(|azure| azure.endpoint.clone())
            .unwrap_or_default();
        let sas = Self::secret(&self.azure.direct, "sasToken");
        command
            .env("RCLONE_CONFIG", self.home.path().join("rclone.conf"))
            .env("RCLONE_CONFIG_S3_TYPE", "s3")
            .env("RCLONE_CONFIG_S3_PROVIDER", "Other")
            .env("RCLONE_CONFIG_S3_ENV_AUTH", "true")
            .env("RCLONE_CONFIG_S3_REGION", "us-east-1")
            .env("RCLONE_CONFIG_S3_ENDPOINT", s3_endpoint)
            .env("RCLONE_CONFIG_S3_FORCE_PATH_STYLE", "true")
            .env("RCLONE_CONFIG_S3_NO_CHECK_BUCKET", "true")
            .env("RCLONE_CONFIG_AZURE_TYPE", "azureblob")
            .env(
                "RCLONE_CONFIG_AZURE_SAS_URL",
                format!("{azure_endpoint}?{sas}"),
            )
            .env("RCLONE_CONFIG_AZURE_NO_CHECK_CONTAINER", "true")
            .env("RCLONE_CONFIG_GCS_TYPE", "google cloud storage")
            .env("RCLONE_CONFIG_GCS_ANONYMOUS", "true")
            .env("RCLONE_CONFIG_GCS_NO_CHECK_BUCKET", "true")
            .env(
                "RCLONE_CONFIG_GCS_ENDPOINT",
                format!("{gcs_endpoint}/storage/v1/"),
            )
            .args(args);
        command
    }

    /// What `rclone` calls a version in a bucket.
    pub(crate) fn remote(bucket: Bucket, version: &str) -> String {
        let path = format!("{MODEL}/{version}");
        match bucket {
            Bucket::S3 => format!("s3:models/{path}"),
            Bucket::Second => format!("s3:{SECOND}/{path}"),
            Bucket::Azure => format!("azure:models/{path}"),
            Bucket::Gcs => format!("gcs:models/{path}"),
        }
    }

    /// A copy of a version by rclone, as its documentation tunes it for large files.
    pub(crate) fn rclone_copy(&self, version: &str, from: Bucket, to: Bucket) -> Command {
        let (from, to) = (Self::remote(from, version), Self::remote(to, version));
        self.rclone(&[&["copy", &from, &to][..], TUNED].concat())
    }

    /// The same with rclone's defaults.
    pub(crate) fn rclone_copy_plain(&self, version: &str, from: Bucket, to: Bucket) -> Command {
        let (from, to) = (Self::remote(from, version), Self::remote(to, version));
        let args = ["copy", &from, &to, "--checksum", NO_SERVER_SIDE];
        self.rclone(&args)
    }

    /// `s5cmd` with these arguments.
    pub(crate) fn s5cmd(&self, args: &[&str]) -> Command {
        let mut command = self.command(&self.s5cmd);
        let s3 = self.s3.through.spec.location.s3.as_ref();
        let endpoint = s3.and_then(|s3| s3.endpoint.clone()).unwrap_or_default();
        command.args(["--endpoint-url", &endpoint]).args(args);
        command
    }

    /// What `s5cmd` calls a version in a bucket of S3.
    pub(crate) fn s5_url(bucket: Bucket, version: &str) -> String {
        let name = if bucket == Bucket::Second {
            SECOND
        } else {
            "models"
        };
        format!("s3://{name}/{MODEL}/{version}/")
    }

    /// A bucket without the proxy.
    pub(crate) async fn store(&self, bucket: Bucket) -> anyhow::Result<Arc<dyn Store>> {
        let mut access = self.side(bucket).direct.clone();
        if let (Bucket::Second, Some(s3)) = (bucket, access.spec.location.s3.as_mut()) {
            SECOND.clone_into(&mut s3.bucket);
        }
        Ok(open(&access).await?)
    }

    /// Deletes every object of a version.
    pub(crate) async fn forget(&self, bucket: Bucket, version: &str) -> anyhow::Result<()> {
        let store = self.store(bucket).await?;
        let prefix = format!("{MODEL}/{version}/");
        for object in store.list(&prefix, &self.cancel).await? {
            let key = ObjectKey::new(object.key)?;
            let object = store.head(&key, &self.cancel).await?;
            store.delete(&object, &self.cancel).await?;
        }
        Ok(())
    }

    /// The bytes of one file of a version.
    pub(crate) async fn read(
        &self,
        bucket: Bucket,
        version: &str,
        file: &str,
    ) -> anyhow::Result<Vec<u8>> {
        let store = self.store(bucket).await?;
        let key = ObjectKey::new(format!("{MODEL}/{version}/{file}"))?;
        let object = store.head(&key, &self.cancel).await?;
        let mut bytes = vec![];
        let part: u64 = 16 << 20;
        for start in (0..object.size_bytes).step_by(16 << 20) {
            let end = (start + part).min(object.size_bytes);
            bytes.extend(store.read(&object, start..end, &self.cancel).await?);
        }
        Ok(bytes)
    }

    /// A directory with a version's files: name and length in bytes of each, random bytes.
    pub(crate) fn files(&self, version: &str, files: &[(String, u64)]) -> anyhow::Result<PathBuf> {
        let dir = self.home.path().join("models").join(version);
        let mut random = SmallRng::seed_from_u64(files.len() as u64 + 7);
        for (name, length) in files {
            let path = dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap_or(&dir))?;
            let mut file = std::fs::File::create(path)?;
            let mut block = vec![0; 1 << 20];
            let mut left = *length;
            while left > 0 {
                random.fill_bytes(&mut block);
                let now = usize::try_from(left.min(1 << 20))?;
                std::io::Write::write_all(&mut file, &block[..now])?;
                left -= now as u64;
            }
        }
        Ok(dir)
    }

    /// Pushes a version of such files to a bucket.
    pub(crate) async fn push(&self, version: &str, to: Bucket) -> anyhow::Result<Usage> {
        let (name, url) = (format!("{MODEL}:{version}"), self.url(to)?);
        let args = [
            "artifacts",
            "push",
            &name,
            "--dir",
            "models",
            "--store",
            &url,
        ];
        let pushed = child::run(self.mcdeploy(&args)).await?;
        pushed.expect_success("mcdeploy artifacts push")
    }

    /// Where files are.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }
}

/// One file of this length.
pub(crate) fn one_file(length: u64) -> Vec<(String, u64)> {
    vec![("weights.bin".to_owned(), length)]
}

/// Many files of about a kilobyte.
pub(crate) fn small_files(count: usize) -> Vec<(String, u64)> {
    let mut random = SmallRng::seed_from_u64(3);
    let named = (0..count).map(|i| format!("part-{:02}/file-{i:05}.bin", i % 10));
    named
        .map(|name| (name, random.random_range(512..1536)))
        .collect()
}

/// Else the S3 server would copy between its buckets by itself, and nothing be measured.
const NO_SERVER_SIDE: &str = "--disable=copy";
const TUNED: &[&str] = &[
    "--checksum",
    NO_SERVER_SIDE,
    "--transfers=4",
    "--checkers=16",
    "--multi-thread-cutoff=64M",
    "--multi-thread-streams=8",
    "--multi-thread-chunk-size=16M",
    "--s3-chunk-size=16M",
    "--s3-upload-concurrency=8",
    "--azureblob-chunk-size=16M",
    "--azureblob-upload-concurrency=8",
];
