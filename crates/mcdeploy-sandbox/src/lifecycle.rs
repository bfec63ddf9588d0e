//! Up and down.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Cloud, SandboxError, Say, cgroup, clock,
    cloud::REGISTRY_NAME,
    faults, host,
    images::{self, IMAGE_NAMES, Image},
    install, node,
    node::Programs,
    paths, preflight,
    process::{self, Home, Launch},
    record::Record,
    tools::{self, SANDBOX_PACKAGES},
    world,
};

/// Held by a command while it changes the sandbox.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "holds the lock")] fs::File);

impl Lock {
    /// Waits for other commands to end.
    pub(crate) async fn take(say: &Say) -> Result<Self, SandboxError> {
        const LIMIT: Duration = Duration::from_mins(10);
        let open =
            || fs::File::create(paths::LOCK).map_err(SandboxError::file("open", paths::LOCK));
        let start = clock::now();
        let mut told = false;
        loop {
            let file = open()?;
            match file.try_lock() {
                // `down` removes the file: a lock on a removed file locks nobody out.
                Ok(()) if is_current(&file) => return Ok(Self(file)),
                Ok(()) | Err(fs::TryLockError::WouldBlock) => {}
                Err(fs::TryLockError::Error(source)) => {
                    return Err(SandboxError::file("lock", paths::LOCK)(source));
                }
            }
            if start.elapsed() > LIMIT {
                return Err(SandboxError::Unfit(
                    "another sandbox command has been running for 10 minutes".into(),
                ));
            }
            if !told && start.elapsed() > Duration::from_millis(500) {
                say.line("waiting for another sandbox command to end");
                told = true;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn is_current(file: &fs::File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let same = |found: io::Result<fs::Metadata>| found.map(|found| found.ino()).ok();
    same(file.metadata()) == same(fs::metadata(paths::LOCK))
}

/// Whether a sandbox is recorded on this machine.
pub(crate) fn is_up() -> Result<bool, SandboxError> {
    Ok(Record::load()?.is_some())
}

/// Whether `up` may start: as root, on a machine that carries a sandbox or can.
pub(crate) async fn check_fit() -> Result<(), SandboxError> {
    preflight::check_root()?;
    if is_up()? {
        return Ok(());
    }
    preflight::check_machine().await
}

/// Whether there is a sandbox to change, and this process may.
pub(crate) fn check_running() -> Result<(), SandboxError> {
    preflight::check_root()?;
    if is_up()? {
        return Ok(());
    }
    Err(SandboxError::NotRunning)
}

/// What `up` is to bring up.
pub(crate) struct UpRequest {
    /// The program that allocates addresses, with its arguments.
    pub(crate) serve: (PathBuf, Vec<String>),
    /// Directory of the project's own binaries.
    pub(crate) binaries: PathBuf,
    /// Directory of the charts, if mcdeploy is to be installed.
    pub(crate) charts: Option<PathBuf>,
}

/// Brings up whatever does not run.
pub(crate) async fn up(request: &UpRequest, say: &Say) -> Result<(), SandboxError> {
    let start = clock::now();
    preflight::check_root()?;
    if let Some(charts) = &request.charts {
        install::check(charts)?;
        images::check(&request.binaries)?;
    }
    check_fit().await?;
    let fresh = !is_up()?;
    let packages = say.clone();
    let installed =
        tokio::task::spawn_blocking(move || tools::ensure_packages(SANDBOX_PACKAGES, &packages));
    installed.await.map_err(|_| SandboxError::Interrupted)??;
    let programs = Programs::ensure(say).await?;
    if fresh {
        Record::take()?;
    }
    Record::make_mount_points()?;
    world::ensure_bridge().await?;
    let well = well_clouds(say)?;
    let starts = well
        .iter()
        .map(|&cloud| node::ensure(cloud, &programs, say));
    let images = images(request, say);
    let (_, images) =
        futures::future::try_join(futures::future::try_join_all(starts), images).await?;
    ensure_serve(&request.serve)?;
    images::push(&images, &well, say).await?;
    if let Some(charts) = &request.charts {
        install::install(charts, &images, &well, say).await?;
    }
    let seconds = start.elapsed().as_secs();
    say.line(format!("the sandbox is up after {seconds} s"));
    say.line("kubeconfig of the hub: mcdeploy sandbox kubeconfig hub");
    let hub = Cloud::Hub.registry_url();
    say.line(format!(
        "images by tag: --registry-mirror {REGISTRY_NAME}={hub}"
    ));
    Ok(())
}

/// Clouds without a fault: a broken one stays as it is.
fn well_clouds(say: &Say) -> Result<Vec<Cloud>, SandboxError> {
    let faulty = faults::faulty_clouds()?;
    for cloud in &faulty {
        say.line(format!(
            "{cloud}: left alone, it has a fault; heal it first: mcdeploy sandbox heal {cloud}"
        ));
    }
    let all = Cloud::ALL.into_iter();
    Ok(all.filter(|cloud| !faulty.contains(cloud)).collect())
}

/// The images, if their binaries are there; a sandbox without mcdeploy does without.
async fn images(request: &UpRequest, say: &Say) -> Result<Vec<Image>, SandboxError> {
    let there = |name: &str| request.binaries.join(name).exists();
    if request.charts.is_none() && !IMAGE_NAMES.into_iter().all(there) {
        let directory = request.binaries.display();
        say.line(format!("no images: {directory} lacks the binaries"));
        return Ok(Vec::new());
    }
    images::build(&request.binaries, say).await
}

fn ensure_serve((program, arguments): &(PathBuf, Vec<String>)) -> Result<(), SandboxError> {
    let serve = Launch {
        name: "serve",
        program: program.clone(),
        arguments: arguments.clone(),
        environment: Vec::new(),
    };
    let home = Home {
        run: Path::new(paths::STATE).join("run"),
        cgroup: cgroup::sandbox_directory()?,
        namespaces: None,
    };
    process::ensure(&serve, &home)
}

/// Takes everything down, and puts the machine back as it was. Does nothing where
/// nothing is.
pub(crate) async fn down(say: &Say) -> Result<(), SandboxError> {
    let start = clock::now();
    let record = Record::load();
    cgroup::remove_all().await?;
    world::remove_links().await?;
    // A damaged record must not keep the rest from going.
    let found = match record {
        Ok(Some(record)) => {
            record.restore()?;
            true
        }
        Ok(None) => false,
        Err(error) => {
            say.line(format!("settings of the kernel are not restored: {error}"));
            true
        }
    };
    host::remove(Path::new(paths::STATE))?;
    host::remove(Path::new(paths::LOCK))?;
    tools::allow_services();
    if found {
        let seconds = start.elapsed().as_secs();
        say.line(format!("the sandbox is down after {seconds} s"));
    } else {
        say.line("no sandbox was up");
    }
    Ok(())
}
