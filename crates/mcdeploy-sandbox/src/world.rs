//! The room that a cloud lives in: a network and a mount namespace, held open by one
//! process that does nothing, and a link to the bridge.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use crate::{
    Cloud, SandboxError, cgroup, clock,
    cloud::{BRIDGE, HOST_ADDRESS},
    host, paths,
    process::{self, Home, Launch, Namespaces},
};

/// Directories that the kubelet, containerd and CNI write whatever they are told, each
/// with the directory of the cloud that stands in its place; without one, memory does.
pub(crate) const BOUND: [(&str, &str); 7] = [
    ("/var/lib/kubelet", "kubelet"),
    ("/var/lib/containerd", "containerd"),
    ("/var/lib/cni", "cni"),
    ("/var/log/pods", "log-pods"),
    ("/var/log/containers", "log-containers"),
    ("/run/containerd", ""),
    ("/run/netns", ""),
];

const HOLDER: &str = "holder";
/// Holds the name of the network once the room is ready.
const READY: &str = "holder.ready";

/// A cloud's room.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) cloud: Cloud,
    namespaces: Namespaces,
}

impl World {
    /// The room of a cloud, if it is open.
    pub(crate) fn find(cloud: Cloud) -> Result<Option<Self>, SandboxError> {
        let run = run_directory(cloud);
        let holder = process::recorded(&run, HOLDER)?;
        let network = host::read(&run.join(READY))?;
        Ok(holder.zip(network).map(|(holder, network)| {
            let network = network.trim().to_owned();
            let namespaces = Namespaces { holder, network };
            Self { cloud, namespaces }
        }))
    }

    /// Opens the room of a cloud, unless it is open, and links it to the bridge.
    pub(crate) async fn ensure(cloud: Cloud) -> Result<Self, SandboxError> {
        let world = match Self::find(cloud)? {
            Some(world) => world,
            None => Self::open(cloud).await?,
        };
        world.ensure_link().await?;
        Ok(world)
    }

    async fn open(cloud: Cloud) -> Result<Self, SandboxError> {
        let run = run_directory(cloud);
        let ready = run.join(READY);
        // A holder whose start was interrupted may be about to write it.
        if process::recorded(&run, HOLDER)?.is_none() {
            host::remove(&ready)?;
        }
        let mut script = vec!["set -e".to_owned()];
        for (target, inside) in BOUND {
            if inside.is_empty() {
                script.push(format!("mount -t tmpfs tmpfs {target}"));
            } else {
                let inside = paths::cloud(cloud).join(inside);
                host::make_directory(&inside)?;
                script.push(format!("mount --bind {} {target}", inside.display()));
            }
        }
        let ready = ready.display();
        script.push(format!(
            "readlink /proc/self/ns/net > {ready}.new && mv {ready}.new {ready}"
        ));
        script.push("exec sleep infinity".to_owned());
        let arguments = [
            "--net",
            "--mount",
            "--propagation",
            "private",
            "--",
            "sh",
            "-c",
        ];
        let mut arguments: Vec<_> = arguments.into_iter().map(str::to_owned).collect();
        arguments.push(script.join("\n"));
        let program = Launch {
            name: HOLDER,
            program: PathBuf::from("unshare"),
            arguments,
            environment: Vec::new(),
        };
        let home = Home {
            run: run.clone(),
            cgroup: cgroup::sandbox_directory()?,
            namespaces: None,
        };
        process::ensure(&program, &home)?;
        let limit = Duration::from_secs(20);
        let start = clock::now();
        while start.elapsed() < limit {
            if let Some(world) = Self::find(cloud)? {
                return Ok(world);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(SandboxError::NotReady {
            cloud,
            what: "its namespaces".into(),
            waited: limit,
            last: "the holder did not come up".into(),
            log: log_tail(cloud, HOLDER),
        })
    }

    async fn ensure_link(&self) -> Result<(), SandboxError> {
        let link = self.cloud.link();
        if !host::succeeds(["ip", "link", "show", &link]).await {
            let holder = self.namespaces.holder.pid.to_string();
            let mut add = vec!["ip", "link", "add", &link, "type", "veth"];
            add.extend(["peer", "name", "eth0", "netns", &holder]);
            host::run(add).await?;
        }
        host::run(["ip", "link", "set", &link, "master", BRIDGE, "up"]).await?;
        let address = format!("{}/24", self.cloud.address());
        let gateway = HOST_ADDRESS.to_string();
        self.run(&["ip", "link", "set", "lo", "up"]).await?;
        self.run(&["ip", "address", "replace", &address, "dev", "eth0"])
            .await?;
        self.run(&["ip", "link", "set", "eth0", "up"]).await?;
        self.run(&["ip", "route", "replace", "default", "via", &gateway])
            .await?;
        self.run(&["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
            .await?;
        Ok(())
    }

    /// Runs a command in the room.
    pub(crate) async fn run(&self, words: &[&str]) -> Result<String, SandboxError> {
        self.run_with_input(words, "").await
    }

    /// Runs a command in the room, with a text on standard input.
    pub(crate) async fn run_with_input(
        &self,
        words: &[&str],
        input: &str,
    ) -> Result<String, SandboxError> {
        let inside = process::enter(&self.namespaces);
        let words = inside.into_iter().chain(words.iter().map(OsString::from));
        host::run_with_input(words, input).await
    }

    /// Where processes of the cloud start.
    pub(crate) fn home(&self) -> Result<Home<'_>, SandboxError> {
        Ok(Home {
            run: run_directory(self.cloud),
            cgroup: cgroup::system_directory(self.cloud)?,
            namespaces: Some(&self.namespaces),
        })
    }
}

/// Directory of a cloud's process files and logs.
pub(crate) fn run_directory(cloud: Cloud) -> PathBuf {
    paths::cloud(cloud).join("run")
}

/// The end of a process's log, for an error.
pub(crate) fn log_tail(cloud: Cloud, name: &str) -> String {
    let log = process::log_file(&run_directory(cloud), name);
    let Ok(text) = std::fs::read(&log) else {
        return String::new();
    };
    let lines = crate::tools::last_lines(&String::from_utf8_lossy(&text), 12);
    format!("\nthe end of {}:\n{lines}", log.display())
}

/// Makes the bridge, unless it is there.
pub(crate) async fn ensure_bridge() -> Result<(), SandboxError> {
    if !host::succeeds(["ip", "link", "show", BRIDGE]).await {
        host::run(["ip", "link", "add", BRIDGE, "type", "bridge"]).await?;
    }
    let address = format!("{HOST_ADDRESS}/24");
    host::run(["ip", "address", "replace", &address, "dev", BRIDGE]).await?;
    host::run(["ip", "link", "set", BRIDGE, "up"]).await?;
    Ok(())
}

/// Removes the bridge and every link.
pub(crate) async fn remove_links() -> Result<(), SandboxError> {
    let links = Cloud::ALL.into_iter().map(Cloud::link);
    for link in links.chain([BRIDGE.to_owned()]) {
        if host::succeeds(["ip", "link", "show", &link]).await {
            // The other end's namespace may be taking it away at this moment.
            let removed = host::run(["ip", "link", "delete", &link]).await;
            if host::succeeds(["ip", "link", "show", &link]).await {
                removed?;
            }
        }
    }
    Ok(())
}
