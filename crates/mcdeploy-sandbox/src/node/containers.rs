//! containerd, and the one image that no registry serves.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Programs, program, wait, write};
use crate::{
    Cloud, SandboxError, cloud::REGISTRY_NAME, host, paths, process::Launch, world::World,
};

const PAUSE_IMAGE: &str = "mcdeploy.test/pause:1";
const SOCKET: &str = "/run/containerd/containerd.sock";

/// containerd with its CRI plugin.
pub(super) fn containerd(cloud: Cloud) -> Result<Launch, SandboxError> {
    let home = paths::cloud(cloud);
    let network = json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": cloud.pod_range()}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    });
    write(cloud, "cni-config/10-pods.conflist", &network.to_string())?;
    let registry = cloud.registry_url();
    let hosts = format!(
        "server = \"{registry}\"\n\n[host.\"{registry}\"]\n  \
         capabilities = [\"pull\", \"resolve\"]\n"
    );
    // Under the name that all share, and under its own, which has to be told that there is
    // no TLS.
    for name in [REGISTRY_NAME, &cloud.registry()] {
        write(cloud, &format!("registries/{name}/hosts.toml"), &hosts)?;
    }
    let config = include_str!("containerd.toml")
        .replace("@HOME@", &home.display().to_string())
        .replace("@PAUSE@", PAUSE_IMAGE);
    let config = write(cloud, "containerd.toml", &config)?;
    let arguments = [
        format!("--config={}", config.display()),
        "--log-level=warn".into(),
    ];
    Ok(program("containerd", "containerd", arguments))
}

/// Imports the pause image unless containerd has it.
pub(super) async fn ensure_pause_image(
    world: &World,
    programs: &Programs,
) -> Result<(), SandboxError> {
    let ctr = [
        "ctr",
        "--address",
        SOCKET,
        "--namespace",
        "k8s.io",
        "images",
    ];
    let list = [&ctr[..], &["ls", "-q"]].concat();
    let mut images = String::new();
    wait(
        world.cloud,
        "containerd",
        Duration::from_mins(1),
        async || {
            images = world.run(&list).await.map_err(|error| error.to_string())?;
            Ok(())
        },
    )
    .await?;
    if images.lines().any(|image| image == PAUSE_IMAGE) {
        return Ok(());
    }
    let archive = pause_archive(world.cloud, &programs.pause).await?;
    let archive = archive.display().to_string();
    world
        .run(&[&ctr[..], &["import", &archive]].concat())
        .await?;
    Ok(())
}

/// Writes the image as `docker save` does: a layer with one file, a config, a manifest.
async fn pause_archive(cloud: Cloud, pause: &Path) -> Result<PathBuf, SandboxError> {
    let home = paths::cloud(cloud).join("pause");
    let layer = home.join("layer");
    host::make_directory(&layer)?;
    let copy = layer.join("pause");
    fs::copy(pause, &copy).map_err(SandboxError::file("write", &copy))?;
    tar(&home.join("layer.tar"), &layer, &["pause"]).await?;
    let archived = home.join("layer.tar");
    let bytes = fs::read(&archived).map_err(SandboxError::file("read", &archived))?;
    let diff = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65532:65532"},
        "rootfs": {"type": "layers", "diff_ids": [diff]},
    });
    host::write(&home.join("config.json"), &config.to_string())?;
    let manifest = json!([{
        "Config": "config.json",
        "RepoTags": [PAUSE_IMAGE],
        "Layers": ["layer.tar"],
    }]);
    host::write(&home.join("manifest.json"), &manifest.to_string())?;
    let archive = home.join("image.tar");
    tar(
        &archive,
        &home,
        &["manifest.json", "config.json", "layer.tar"],
    )
    .await?;
    Ok(archive)
}

async fn tar(archive: &Path, directory: &Path, names: &[&str]) -> Result<(), SandboxError> {
    let archive = archive.display().to_string();
    let directory = directory.display().to_string();
    let same = ["--sort=name", "--mtime=@0", "--owner=0", "--group=0"];
    let words = [
        &["tar"][..],
        &same,
        &["-C", &directory, "-cf", &archive],
        names,
    ]
    .concat();
    host::run(words).await?;
    Ok(())
}
