//! The processes of one cloud, in the order in which they come up.

use std::{path::PathBuf, time::Duration};

use crate::{
    Cloud, SandboxError, Say, api, cgroup, clock, host, paths,
    process::{self, Launch},
    tools::{self, Tool},
    world::{World, log_tail},
};

mod containers;
mod kubernetes;
mod pki_files;
mod services;

use pki_files::store_secret;
pub(crate) use services::{store_access, store_reader};

/// Paths of the programs that clouds run.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) kube: PathBuf,
    pub(crate) versitygw: PathBuf,
    pub(crate) fake_gcs: PathBuf,
    pub(crate) azurite: PathBuf,
    pub(crate) pause: PathBuf,
}

impl Programs {
    /// Builds what is missing, one after another.
    pub(crate) async fn ensure(say: &Say) -> Result<Self, SandboxError> {
        Ok(Self {
            kube: tools::ensure(Tool::Kube, say).await?,
            versitygw: tools::ensure(Tool::Versitygw, say).await?,
            fake_gcs: tools::ensure(Tool::FakeGcs, say).await?,
            azurite: tools::ensure(Tool::Azurite, say).await?,
            pause: tools::ensure(Tool::Pause, say).await?,
        })
    }
}

/// Starts whatever of a cloud does not run, and waits until its node is ready.
pub(crate) async fn ensure(
    cloud: Cloud,
    programs: &Programs,
    say: &Say,
) -> Result<World, SandboxError> {
    let start = clock::now();
    let world = World::ensure(cloud).await?;
    cgroup::ensure_pods(cloud)?;
    pki_files::ensure(cloud)?;
    let home = world.home()?;
    for program in services::programs(cloud, programs)? {
        process::ensure(&program, &home)?;
    }
    for program in kubernetes::control_plane_base(cloud, programs) {
        process::ensure(&program, &home)?;
    }
    process::ensure(&containers::containerd(cloud)?, &home)?;
    let client = api::client(cloud).await?;
    let (registry, pause, api) = tokio::join!(
        services::wait_ready(&world),
        containers::ensure_pause_image(&world, programs),
        wait(
            cloud,
            "kube-apiserver",
            Duration::from_mins(2),
            async || { api::is_ready(&client).await }
        ),
    );
    registry?;
    pause?;
    api?;
    let kubelet_runs = process::recorded(&crate::world::run_directory(cloud), "kubelet")?.is_some();
    let old_word = if kubelet_runs {
        None
    } else {
        api::node_heartbeat(&client, cloud).await
    };
    for program in kubernetes::rest(cloud, programs)? {
        process::ensure(&program, &home)?;
    }
    wait(cloud, "kubelet", Duration::from_mins(2), async || {
        api::node_is_ready(&client, cloud, old_word.as_ref()).await
    })
    .await?;
    wait(
        cloud,
        "controller-manager",
        Duration::from_mins(1),
        async || api::has_default_service_account(&client).await,
    )
    .await?;
    let seconds = start.elapsed().as_secs_f32();
    say.line(format!("{cloud}: node ready after {seconds:.0} s"));
    Ok(world)
}

/// Names of a cloud's processes that do not run.
pub(crate) fn missing(cloud: Cloud) -> Result<Vec<&'static str>, SandboxError> {
    let run = crate::world::run_directory(cloud);
    let names = kubernetes::NAMES.into_iter().chain(services::names(cloud));
    let mut missing = Vec::new();
    for name in names {
        if process::recorded(&run, name)?.is_none() {
            missing.push(name);
        }
    }
    Ok(missing)
}

/// Asks until the answer is yes; an error names what was waited for, the last answer
/// and the end of the process's log.
pub(crate) async fn wait<F>(
    cloud: Cloud,
    name: &str,
    limit: Duration,
    mut ready: F,
) -> Result<(), SandboxError>
where
    F: AsyncFnMut() -> Result<(), String>,
{
    let start = clock::now();
    loop {
        let last = match tokio::time::timeout(Duration::from_secs(5), ready()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(problem)) => problem,
            Err(_) => "no answer within 5 s".to_owned(),
        };
        if start.elapsed() > limit {
            return Err(SandboxError::NotReady {
                cloud,
                what: name.to_owned(),
                waited: limit,
                last,
                log: log_tail(cloud, name),
            });
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn program(
    name: &'static str,
    program: impl Into<PathBuf>,
    arguments: impl IntoIterator<Item = String>,
) -> Launch {
    Launch {
        name,
        program: program.into(),
        arguments: arguments.into_iter().collect(),
        environment: vec![("GOGC", "50".to_owned())],
    }
}

/// Writes a file of a cloud and gives its path.
fn write(cloud: Cloud, name: &str, text: &str) -> Result<PathBuf, SandboxError> {
    let path = paths::cloud(cloud).join(name);
    host::write(&path, text)?;
    Ok(path)
}
