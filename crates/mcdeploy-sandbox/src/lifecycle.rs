//! Up and down.

use std::{fs, io, path::Path, time::Duration};

use crate::{
    Cloud, SandboxError, Say, cgroup, clock, faults, host, node,
    node::Programs,
    paths, preflight,
    process::{self, Home, Program},
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

/// Brings up whatever does not run. `serve` is the program that allocates addresses,
/// with its arguments.
pub(crate) async fn up(serve: (&Path, &[&str]), say: &Say) -> Result<(), SandboxError> {
    preflight::check_root()?;
    let start = clock::now();
    let fresh = Record::load()?.is_none();
    if fresh {
        preflight::check_machine().await?;
    }
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
    let faulty = faults::faulty_clouds()?;
    let clouds = Cloud::ALL.into_iter().filter(|cloud| {
        if faulty.contains(cloud) {
            say.line(format!(
                "{cloud}: left alone, it has a fault; heal it first"
            ));
        }
        !faulty.contains(cloud)
    });
    let starts = clouds.map(|cloud| node::ensure(cloud, &programs, say));
    futures::future::try_join_all(starts).await?;
    ensure_serve(serve)?;
    let seconds = start.elapsed().as_secs();
    say.line(format!("the sandbox is up after {seconds} s"));
    Ok(())
}

fn ensure_serve((program, arguments): (&Path, &[&str])) -> Result<(), SandboxError> {
    let serve = Program {
        name: "serve",
        program: program.to_owned(),
        arguments: arguments.iter().map(|&word| word.to_owned()).collect(),
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
    preflight::check_root()?;
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
    if found {
        let seconds = start.elapsed().as_secs();
        say.line(format!("the sandbox is down after {seconds} s"));
    } else {
        say.line("no sandbox was up");
    }
    Ok(())
}
