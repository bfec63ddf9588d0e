//! `mcdeploy artifacts` as typed.

use std::{collections::BTreeMap, path::PathBuf, str::FromStr};

use clap::{Args, Subcommand};
use jiff::SignedDuration;
use mcdeploy_api::{Provider, Sha256Digest};
use mcdeploy_plan::transfer::{Location, NanoUsd};

use super::{HubArgs, ProjectArgs, PushArgs};
use crate::{
    names::{ExactVersion, ModelName, VersionRef},
    object_url::ObjectUrl,
    output::ReportFormat,
    store_ref::StoreRef,
};

const STORES: &str = "\
A store is the name of an ArtifactStore of the hub, or a URL that needs no hub:
  s3://BUCKET  az://ACCOUNT/CONTAINER  gs://BUCKET  file:///DIRECTORY
with options, such as s3://models?region=eu-west-1&endpoint=https://minio.example.com:
  region=  endpoint=  jurisdiction=  anonymous
Credentials of a URL are those that the cloud's own tools find: AWS_* and ~/.aws,
AZURE_STORAGE_SAS_TOKEN or a workload identity, application default credentials.";

/// Model versions in stores.
#[derive(Debug, Subcommand)]
pub(crate) enum ArtifactsCommand {
    /// Upload a version of the model, with checksums, to a store
    Push(Box<PushArgs>),
    /// List the versions in stores, and whether they are whole
    Ls(LsArgs),
    /// Prove from metadata that every copy of a version equals its manifest
    Verify(VerifyArgs),
    /// Show the cheapest way to copy a version, and what it costs
    Plan(Box<PlanArgs>),
    /// Copy a version to other stores, from this machine
    Replicate(Box<ReplicateArgs>),
    /// Copy objects or directories between stores, proved by checksums
    Cp(Box<CpArgs>),
    /// Read a share of a version's files, to find bytes that rotted
    Scrub(ScrubArgs),
    /// Free what unfinished uploads left behind, or versions that nothing needs
    Gc(GcArgs),
}

/// Which stores there are.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct StoreArgs {
    /// Base URL of the servers of URL stores that name none themselves
    #[arg(long, value_name = "URL")]
    pub(crate) endpoint: Option<String>,
    #[command(flatten)]
    pub(crate) hub: HubArgs,
}

/// `artifacts ls`
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:
  mcdeploy artifacts ls
  mcdeploy artifacts ls aws gcp --model digits
  mcdeploy artifacts ls s3://models?region=eu-west-1 -o json

Without stores, all of the hub. One listing a store, and the manifests; no file is read.

{STORES}"))]
pub(crate) struct LsArgs {
    /// Stores to look into [default: every ArtifactStore of the hub]
    #[arg(value_name = "STORE")]
    pub(crate) stores: Vec<StoreRef>,
    /// Versions of this model only
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<ModelName>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `artifacts verify`
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:
  mcdeploy artifacts verify v3
  mcdeploy artifacts verify digits:v3 aws gcp
  mcdeploy artifacts verify digits:v3 s3://models gs://models?anonymous

Sizes and checksums that the stores themselves keep are compared with the manifest. A file
that was proved by an earlier copy and not written since (same ETag) is not asked for again
without --full. File bytes are read only where a store has no checksum of a file. How many
were proved in which way is said. Exit code 1 when a copy is missing, differs, or could not
be looked at.

{STORES}"))]
pub(crate) struct VerifyArgs {
    /// Version to verify: VERSION, or MODEL:VERSION
    #[arg(value_name = "VERSION")]
    pub(crate) version: VersionRef,
    /// Stores to look into [default: every ArtifactStore of the hub]
    #[arg(value_name = "STORE")]
    pub(crate) stores: Vec<StoreRef>,
    /// Digest that the manifest must have [default: that of the hub's ModelVersion, then
    /// that of the first store's manifest]
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<Sha256Digest>,
    /// Ask for the checksums of every file, also of those that were proved before
    #[arg(long)]
    pub(crate) full: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `artifacts plan`
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:
  mcdeploy artifacts plan v3 --from aws --to azure,gcp
  mcdeploy artifacts plan --size 140GB --from s3://a?region=us-east-1 \\
    --to gs://b?region=europe-west4,az://c/d?region=westeurope \\
    --place aws/us-east-1,gcp/europe-west4,azure/westeurope

A byte costs money on every edge that it crosses: out of a store to the place that runs
the transfer, and out of that place to a store. The naive star is what one copy for each
target costs, all from the one best source. Prices are list prices from a dated file;
--prices puts entries of your own before it. Nothing is copied.

{STORES}"))]
pub(crate) struct PlanArgs {
    /// Version to plan for: VERSION, or MODEL:VERSION; its size is read from --from
    #[arg(value_name = "VERSION", required_unless_present = "size")]
    pub(crate) version: Option<VersionRef>,
    /// Plan for this many bytes instead of a version, such as 140GB or 2TiB; no store is asked
    #[arg(long, value_name = "BYTES", conflicts_with = "version")]
    pub(crate) size: Option<Bytes>,
    /// Stores that have the version
    #[arg(long, value_name = "STORE", value_delimiter = ',', required = true)]
    pub(crate) from: Vec<StoreRef>,
    /// Stores that are to get it
    #[arg(long, value_name = "STORE", value_delimiter = ',', required = true)]
    pub(crate) to: Vec<StoreRef>,
    /// Where transfers can run, such as aws/us-east-1 [default: the hub's member clusters, else
    /// this machine]
    #[arg(long, value_name = "PROVIDER/REGION", value_delimiter = ',', value_parser = parse_location)]
    pub(crate) place: Vec<Location>,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `artifacts replicate`
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:
  mcdeploy artifacts replicate v3 --from aws --to gcp,azure
  mcdeploy artifacts replicate digits:v3 --from s3://models --to file:///srv/models
  mcdeploy artifacts replicate digits:v3 --from aws --to gcp --max-cost 25 --here aws/us-east-1
  mcdeploy artifacts replicate digits:v3 --from gcp --to gcp-asia --follow

Bytes pass through this machine, and each is checked against the manifest. A version is
visible in a store whole or not at all, and is never overwritten. The same command again
goes on where the last one ended. Each target is told apart: one that fails stops no other.

{STORES}"))]
pub(crate) struct ReplicateArgs {
    /// Version to copy: VERSION, or MODEL:VERSION
    #[arg(value_name = "VERSION")]
    pub(crate) version: VersionRef,
    /// Stores that have the version; the cheapest is read
    #[arg(long, value_name = "STORE", value_delimiter = ',', required = true)]
    pub(crate) from: Vec<StoreRef>,
    /// Stores that are to get it
    #[arg(long, value_name = "STORE", value_delimiter = ',', required = true)]
    pub(crate) to: Vec<StoreRef>,
    /// Where this machine is, for the price, such as aws/us-east-1 [default: on a line of one's own]
    #[arg(long, value_name = "PROVIDER/REGION", value_parser = parse_location)]
    pub(crate) here: Option<Location>,
    /// Most bytes of parts in memory at once; more is faster over a long way
    #[arg(long, value_name = "BYTES", default_value = "24MiB")]
    pub(crate) memory: Bytes,
    /// The source may still be receiving the version: copy each file as it arrives there, and
    /// wait up to 10 minutes for the next
    #[arg(long)]
    pub(crate) follow: bool,
    #[command(flatten)]
    pub(crate) rules: RuleArgs,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `artifacts cp`
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  mcdeploy artifacts cp s3://models/digits/v1/ gs://backup/digits/v1/
  mcdeploy artifacts cp file:///srv/weights/model.onnx az://account/container/weights/
  mcdeploy artifacts cp s3://models/data?region=eu-west-1 file:///srv/data --dry-run

A place is s3://BUCKET/PATH, az://ACCOUNT/CONTAINER/PATH, gs://BUCKET/PATH or file:///PATH,
with the options and credentials of a store's URL (see `mcdeploy artifacts ls --help`). SRC
is one object, or a directory with all that is below it; DST is the object's new name, or a
directory when it ends with a slash. What a URL keeps for itself is percent-encoded in a
PATH: %3F for a question mark, %25 for a percent sign before two hex digits. Nothing is
overwritten: the same bytes are left, other bytes are a conflict (exit code 6). What is no
object (markers of directories, pipes) is named and skipped; an object that cannot be copied
stops no other. Bytes pass through this machine. A large object whose store lacks a checksum
that the copy needs is read twice, and that is said.")]
pub(crate) struct CpArgs {
    /// What to copy
    #[arg(value_name = "SRC")]
    pub(crate) source: ObjectUrl,
    /// Where to
    #[arg(value_name = "DST")]
    pub(crate) target: ObjectUrl,
    /// Only say what would be copied, and what differs
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `artifacts scrub`
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:
  mcdeploy artifacts scrub v3
  mcdeploy artifacts scrub digits:v3 aws gcp --percent 100
  mcdeploy artifacts scrub digits:v3 aws gcp --repair

A store's own checksums say what it once accepted; only reading shows what is there now.
Every day another share of the files is read. --repair moves wrong files away and creates
them from a named store whose copy is whole. Exit code 1 when something is wrong after.

{STORES}"))]
pub(crate) struct ScrubArgs {
    /// Version to read: VERSION, or MODEL:VERSION
    #[arg(value_name = "VERSION")]
    pub(crate) version: VersionRef,
    /// Stores to read [default: every ArtifactStore of the hub]
    #[arg(value_name = "STORE")]
    pub(crate) stores: Vec<StoreRef>,
    /// Share of the files that is read, in percent
    #[arg(long, value_name = "PERCENT", default_value = "10", value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(crate) percent: u8,
    /// Which share: another number, other files [default: the number of the day]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) seed: Option<u64>,
    /// Replace what is wrong by a whole copy's files
    #[arg(long)]
    pub(crate) repair: bool,
    /// Digest that the manifest must have [default: that of the hub's ModelVersion, then
    /// that of the first store's manifest]
    #[arg(long, value_name = "DIGEST")]
    pub(crate) digest: Option<Sha256Digest>,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// `artifacts gc`
#[derive(Args, Debug)]
#[command(after_help = format!("Examples:
  mcdeploy artifacts gc
  mcdeploy artifacts gc aws --older-than 30d
  mcdeploy artifacts gc --versions --keep 5 --older-than 90d
  mcdeploy artifacts gc gcp --remove digits:v1 --yes
  mcdeploy artifacts gc s3://models --remove digits:v1@sha256:…

Without --yes it only says what it would do. Ages are by the store's own clock.

Alone it frees what mcdeploy left behind: unfinished uploads to keys that its claims or
manifests name, parts of objects, and notes of pushes and copies that were given up. No
version is touched, and nothing of other applications in the bucket. --versions takes
out whole versions instead, and --remove those that are named, whatever their age. A
version stays while anything in the hub refers to it or may (deployments, what clusters
serve, revisions to return to, rollouts), while a push or copy is at work on it, and,
until its ModelVersion is deleted, in one store where it is verified. What cannot be
read keeps every version. A version goes manifest first; the same command again goes on
after an interruption.

Of a URL store no hub says what refers to it: there only --remove with the digest works.

{STORES}"))]
pub(crate) struct GcArgs {
    /// Stores to look into [default: every ArtifactStore of the hub]
    #[arg(value_name = "STORE")]
    pub(crate) stores: Vec<StoreRef>,
    /// Take out whole versions that nothing in the hub needs
    #[arg(long)]
    pub(crate) versions: bool,
    /// Take out this version, unless something needs it; may be given more than once
    #[arg(
        long,
        value_name = "MODEL:VERSION[@DIGEST]",
        conflicts_with = "versions"
    )]
    pub(crate) remove: Vec<ExactVersion>,
    /// With --versions: newest versions of each model that stay
    #[arg(long, value_name = "N", default_value = "3", requires = "versions")]
    pub(crate) keep: usize,
    /// Only what nobody touched for this long; longer than the longest copy takes
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = super::parse_lifetime)]
    pub(crate) older_than: SignedDuration,
    /// Do it, and not only say so
    #[arg(long)]
    pub(crate) yes: bool,
    /// Output format
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    pub(crate) output: ReportFormat,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

/// What a plan has to keep to.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct RuleArgs {
    /// Prices, limits and regions that come before those that are built in (JSON)
    #[arg(long, env = "MCDEPLOY_PRICES", value_name = "FILE")]
    pub(crate) prices: Option<PathBuf>,
    /// What you have that changes prices, such as aws-interconnect-multicloud
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) offer: Vec<String>,
    /// Bytes that left a cloud for the internet this month, such as aws=20TB [default: the free
    /// allowance is used up]
    #[arg(long, value_name = "CLOUD=BYTES", value_delimiter = ',', value_parser = parse_used)]
    pub(crate) used: Vec<(Provider, Bytes)>,
    /// Most that may be spent, in US dollars; a dearer plan is refused
    #[arg(long, value_name = "USD")]
    pub(crate) max_cost: Option<NanoUsd>,
    /// Jurisdictions that bytes may pass through, such as EU,CH [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub(crate) jurisdiction: Vec<String>,
}

impl RuleArgs {
    /// Bytes of this month by cloud.
    pub(crate) fn used_bytes(&self) -> BTreeMap<Provider, u64> {
        let used = self.used.iter();
        used.map(|(provider, bytes)| (*provider, bytes.0)).collect()
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor: Option<u64> = match unit.trim() {
            "" | "B" => Some(1),
            "KB" => Some(1000),
            "MB" => Some(1000_u64.pow(2)),
            "GB" => Some(1000_u64.pow(3)),
            "TB" => Some(1000_u64.pow(4)),
            "KiB" => Some(1 << 10),
            "MiB" => Some(1 << 20),
            "GiB" => Some(1 << 30),
            "TiB" => Some(1 << 40),
            _ => None,
        };
        let bytes = number.parse::<u64>().ok().zip(factor);
        let bytes = bytes.and_then(|(number, factor)| number.checked_mul(factor));
        bytes.map(Self).ok_or_else(|| {
            format!("{text:?} is no number of bytes: expected one such as 512MiB or 140GB")
        })
    }
}

fn parse_location(text: &str) -> Result<Location, String> {
    let parts = text
        .split_once('/')
        .filter(|(_, region)| !region.is_empty());
    let (provider, region) = parts.ok_or_else(|| {
        format!("{text:?} is no place: expected PROVIDER/REGION, such as aws/us-east-1")
    })?;
    Ok(Location {
        provider: super::parse_cloud(provider)?,
        region: region.to_owned(),
    })
}

fn parse_used(text: &str) -> Result<(Provider, Bytes), String> {
    let (provider, bytes) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} is no CLOUD=BYTES, such as aws=20TB"))?;
    Ok((super::parse_cloud(provider)?, bytes.parse()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_read_with_both_kinds_of_units() {
        let read = |text: &str| text.parse::<Bytes>().map(|bytes| bytes.0);
        assert_eq!(read("140GB"), Ok(140_000_000_000));
        assert_eq!(read("2 TiB"), Ok(2 << 40));
        assert_eq!(read("0"), Ok(0));
        for text in ["", "GB", "1.5GB", "-1", "1gb", "99999999999TB"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
