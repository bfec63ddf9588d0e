//! `--from`: the files of a version that somebody else published.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use mcdeploy_api::{ErrorClass, Sha256Digest};
use mcdeploy_registry::{
    DownloadError, RegistryCause, RegistryError, Source, SourceAddress, SourceSettings, download,
    open_source,
};
use tokio_util::sync::CancellationToken;

use crate::{
    environment::Environment,
    exit::{ExitStatus, Failure, chain},
    image::{Mirror, Mirrors},
    output::bytes,
    printer::Printer,
};

/// Files that were fetched, until the version is pushed.
pub(super) struct Fetched {
    pub(super) dir: PathBuf,
}

impl Fetched {
    /// Takes the files away: the version is in its store now.
    pub(super) fn forget(self) {
        // What stays is taken up again by the next push of the same source.
        let _ = std::fs::remove_dir_all(self.dir);
    }
}

/// Fetches every file of a source into the cache, where the same command takes it up
/// again after an interruption.
pub(super) async fn fetch(
    address: &SourceAddress,
    mirrors: &Mirrors,
    environment: &Environment,
    printer: &Printer,
    cancel: &CancellationToken,
) -> Result<Fetched, Failure> {
    let (address, settings) = settings(address, mirrors, environment);
    let opened = open_source(&address, &settings, cancel).await;
    let source = opened.map_err(|error| refused(&error, &error.cause))?;
    let pinned = source.pinned();
    // One size that is not said leaves the sum unknown.
    let total: Option<u64> = source.files().iter().map(|file| file.size_bytes).sum();
    let dir = place(environment, &pinned)?;
    let size = total.map_or_else(
        || "not all of whose sizes are said".to_owned(),
        |total| bytes(i64::try_from(total).unwrap_or(i64::MAX)),
    );
    let count = source.files().len();
    printer.notice(format!("reading {pinned}: {count} files, {size}"));
    let bar = bar(printer, total);
    let outcome = download(source.as_ref(), &dir, &|more| bar.inc(more), cancel).await;
    bar.finish_and_clear();
    outcome.map_err(|error| failed(source.as_ref(), &dir, &error))?;
    Ok(Fetched { dir })
}

/// Drawn on a terminal only.
fn bar(printer: &Printer, total: Option<u64>) -> ProgressBar {
    let target = if printer.is_live() {
        ProgressDrawTarget::stderr_with_hz(5)
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(total, target);
    let template = match total {
        Some(_) => " reading {bar:30} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left",
        None => " reading {bytes} {bytes_per_sec}",
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A registry with a mirror is asked at the mirror.
fn settings(
    address: &SourceAddress,
    mirrors: &Mirrors,
    environment: &Environment,
) -> (SourceAddress, SourceSettings) {
    let mut settings = environment.sources.clone();
    let mut address = address.clone();
    if let SourceAddress::Oci(image) = &mut address
        && let Some(mirror) = mirrors.get(&image.registry)
    {
        let Mirror {
            plain_http,
            authority,
        } = mirror.clone();
        settings.registry_plain_http = plain_http;
        image.registry = authority;
    }
    (address, settings)
}

/// A directory of its own for each version of each source.
fn place(environment: &Environment, pinned: &str) -> Result<PathBuf, Failure> {
    let Some(cache) = &environment.cache_dir else {
        let text = "there is no place for the files: neither XDG_CACHE_HOME nor HOME is set";
        return Err(Failure::new(ExitStatus::Usage, text));
    };
    let name = Sha256Digest::of(pinned).short(16);
    Ok(cache.join("mcdeploy/sources").join(name))
}

fn refused(error: &RegistryError, cause: &RegistryCause) -> Failure {
    let text = format!("cannot read {}", chain(error));
    let status = match (cause, error.class()) {
        (RegistryCause::Denied { .. }, _) => ExitStatus::Auth,
        (_, ErrorClass::NotFound) => ExitStatus::NotFound,
        (_, ErrorClass::Cancelled) => ExitStatus::Interrupted,
        _ => ExitStatus::Failed,
    };
    let failure = Failure::new(status, text);
    match status {
        ExitStatus::Auth => failure.hint(
            "HF_TOKEN or `hf auth login`, MLFLOW_TRACKING_TOKEN or _USERNAME and _PASSWORD authorise, \
             as with the sources' own tools; \
             registries are read without credentials",
        ),
        _ => failure.hint("nothing was uploaded"),
    }
}

fn failed(source: &dyn Source, dir: &Path, error: &DownloadError) -> Failure {
    match error {
        DownloadError::Source(error) => refused(error, &error.cause).hint(format!(
            "what arrived stays in {}: the same command goes on from there",
            dir.display()
        )),
        DownloadError::Names { .. } => {
            Failure::new(ExitStatus::Failed, format!("cannot read {}", chain(error)))
        }
        DownloadError::Write { .. } => Failure::new(
            ExitStatus::Failed,
            format!("cannot read {}: {}", source.pinned(), chain(error)),
        ),
    }
}
