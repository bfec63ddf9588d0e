//! `mcdeployd copy-image`: copies one image, by digest, to another registry.

use std::path::PathBuf;

use anyhow::Context as _;
use mcdeploy_api::{CopyImagePlan, ErrorClass, Reason, RepositoryAccess};
use mcdeploy_registry::{Credentials, RegistryError, Repository, RepositoryAddress, copy_image};
use tokio_util::sync::CancellationToken;

use crate::plan_file::{read_plan, write_termination};

/// Copies one image, with all its platforms and referrers, to another registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// JSON file with what to copy, from where and to where.
    #[arg(long, value_name = "FILE")]
    plan: PathBuf,
    /// File that gets one line about why it failed.
    #[arg(long, value_name = "FILE", default_value = "/dev/termination-log")]
    termination_log: PathBuf,
}

pub(crate) async fn run(args: Args, cancel: CancellationToken) -> anyhow::Result<()> {
    let Args {
        plan,
        termination_log,
    } = args;
    let plan: CopyImagePlan = match read_plan(&plan) {
        Ok(plan) => plan,
        Err(error) => {
            write_termination(&termination_log, Reason::Invalid, &format!("{error:#}"));
            return Err(error);
        }
    };
    let CopyImagePlan {
        digest,
        source,
        target,
    } = plan;
    let (from, to) = (repository(source), repository(target));
    match copy_image(&from, &to, &digest, &cancel).await {
        Ok(copied) => {
            tracing::info!(
                image.digest = %digest,
                manifests = copied.manifests,
                blobs = copied.blobs_sent,
                sent_bytes = copied.bytes_sent,
                there_bytes = copied.bytes_there,
                "copied {digest} from {} to {}",
                from.location(),
                to.location()
            );
            Ok(())
        }
        Err(error) => {
            let reason = reason(&error, &from);
            write_termination(&termination_log, reason, &error.to_string());
            let (from, to) = (from.location(), to.location());
            Err(error).with_context(|| format!("copy {digest} from {from} to {to}"))
        }
    }
}

fn repository(access: RepositoryAccess) -> Repository {
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
    Repository::new(address, Credentials::from_secret(&secret))
}

/// The word for it in a status: whether the image is gone from its source is for users
/// to mend.
fn reason(error: &RegistryError, from: &Repository) -> Reason {
    let at_source = error.place == from.location();
    if at_source && error.class() == ErrorClass::NotFound {
        Reason::ImageMissing
    } else {
        error.reason()
    }
}
