//! Images of the project's own binaries: built by buildah, pushed to every registry.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{Cloud, SandboxError, Say, clock, cloud::REGISTRY_NAME, host, paths};

mod push;

/// Binaries that get an image, which bears the same name.
pub const IMAGE_NAMES: [&str; 2] = ["mcdeployd", "mcserve"];
/// The tag that images are pushed under.
pub const IMAGE_TAG: &str = "dev";
const CONTAINERFILE: &str = include_str!("../../../deploy/image/Containerfile");
const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A built image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Name, without registry and tag.
    pub name: String,
    /// Digest of its manifest, `sha256:…`.
    pub digest: String,
    layout: PathBuf,
}

impl Image {
    /// The reference that pods in every cloud use.
    pub fn reference(&self) -> String {
        format!("{REGISTRY_NAME}/{}@{}", self.name, self.digest)
    }
}

/// Whether every binary is there that an image is made of.
pub(crate) fn check(binaries: &Path) -> Result<(), SandboxError> {
    let mut needed = IMAGE_NAMES.into_iter().map(|name| binaries.join(name));
    match needed.find(|binary| !binary.exists()) {
        None => Ok(()),
        Some(binary) => Err(SandboxError::Unfit(format!(
            "{} is missing: build it with `cargo build --workspace --bins`",
            binary.display()
        ))),
    }
}

/// Builds the images of the binaries in a directory, unless they are in the cache.
pub(crate) async fn build(binaries: &Path, say: &Say) -> Result<Vec<Image>, SandboxError> {
    check(binaries)?;
    let mut images = Vec::new();
    for name in IMAGE_NAMES {
        let binary = binaries.join(name);
        images.push(build_one(name, &binary, say).await?);
    }
    Ok(images)
}

/// Pushes images to the registries of these clouds.
pub(crate) async fn push(
    images: &[Image],
    clouds: &[Cloud],
    say: &Say,
) -> Result<(), SandboxError> {
    let start = clock::now();
    for image in images {
        let pushes = clouds.iter().map(|cloud| push::push(image, *cloud));
        futures::future::try_join_all(pushes).await?;
        say.line(image.reference());
    }
    let seconds = start.elapsed().as_secs();
    say.line(format!("images pushed in {seconds} s"));
    Ok(())
}

async fn build_one(name: &str, binary: &Path, say: &Say) -> Result<Image, SandboxError> {
    let cache = paths::images_cache();
    let layout = cache.join(format!("{name}-{}", key(binary)?));
    if !layout.join("index.json").exists() {
        let start = clock::now();
        let context = tempfile::tempdir().map_err(SandboxError::file("make", "a directory"))?;
        lay_out(name, binary, context.path()).await?;
        let old = old_layouts(&cache, name);
        host::remove(&layout)?;
        host::make_directory(&cache)?;
        buildah(name, context.path(), &layout).await?;
        for old in old {
            host::remove(&old)?;
        }
        let seconds = start.elapsed().as_secs();
        say.line(format!("image {name} built in {seconds} s"));
    }
    let index = layout.join("index.json");
    let text = fs::read_to_string(&index).map_err(SandboxError::file("read", &index))?;
    let parsed: Index = serde_json::from_str(&text).map_err(|source| SandboxError::Damaged {
        path: index,
        source,
    })?;
    let digest = parsed
        .manifests
        .into_iter()
        .next()
        .map(|found| found.digest);
    Ok(Image {
        name: name.to_owned(),
        digest: digest.unwrap_or_default(),
        layout,
    })
}

/// Earlier builds of the same image: only the last one is kept.
fn old_layouts(cache: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(cache).into_iter().flatten().flatten();
    let ours = |path: &PathBuf| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('-'))
    };
    entries.map(|entry| entry.path()).filter(ours).collect()
}

fn key(binary: &Path) -> Result<String, SandboxError> {
    let read = |path: &Path| fs::File::open(path).map_err(SandboxError::file("read", path));
    let mut hash = Sha256::new();
    hash.update(CONTAINERFILE);
    io::copy(&mut read(binary)?, &mut hash).map_err(SandboxError::file("read", binary))?;
    Ok(hex::encode(&hash.finalize()[..8]))
}

/// Writes the image's files below `context/root`.
async fn lay_out(name: &str, binary: &Path, context: &Path) -> Result<(), SandboxError> {
    let root = context.join("root");
    let place = |from: &Path, to: &str| {
        let to = root.join(to.trim_start_matches('/'));
        if let Some(parent) = to.parent() {
            host::make_directory(parent)?;
        }
        fs::copy(from, &to).map_err(SandboxError::file("write", &to))?;
        Ok::<_, SandboxError>(to)
    };
    let program = place(binary, &format!("usr/local/bin/{name}"))?;
    // Symbols are two thirds of the file, and nobody debugs in the image.
    let stripped = program.display().to_string();
    host::run(["strip", "--strip-all", &stripped]).await?;
    let binary = binary.display().to_string();
    for library in libraries(&host::run(["ldd", &binary]).await?) {
        place(Path::new(library), library)?;
    }
    place(Path::new(CA_BUNDLE), CA_BUNDLE)?;
    let text = CONTAINERFILE.replace("@PROGRAM@", name);
    host::write(&context.join("Containerfile"), &text)
}

/// Paths in what `ldd` prints: `libc.so.6 => /lib/… (0x…)` and `/lib64/ld-… (0x…)`.
fn libraries(printed: &str) -> Vec<&str> {
    let path = |line: &'_ str| -> Option<(usize, usize)> {
        let start = line.find('/')?;
        let length = line[start..].find(' ').unwrap_or(line.len() - start);
        Some((start, start + length))
    };
    let lines = printed.lines();
    lines
        .filter_map(|line| path(line).map(|(start, end)| &line[start..end]))
        .collect()
}

async fn buildah(name: &str, context: &Path, layout: &Path) -> Result<(), SandboxError> {
    // Storage of its own, gone afterwards: nothing of the machine's is touched.
    let storage = tempfile::tempdir().map_err(SandboxError::file("make", "a directory"))?;
    let path = |name: &str| storage.path().join(name).display().to_string();
    let (root, runroot) = (path("root"), path("run"));
    let buildah = [
        "buildah",
        "--storage-driver",
        "vfs",
        "--root",
        &root,
        "--runroot",
        &runroot,
    ];
    let file = context.join("Containerfile").display().to_string();
    let context = context.display().to_string();
    let bud = [
        "bud",
        "--isolation",
        "chroot",
        "--timestamp",
        "0",
        "--layers=false",
    ];
    let what = ["--tag", name, "--file", &file, &context];
    host::run([&buildah[..], &bud, &what].concat()).await?;
    // The registries are on this machine: packing would only cost time.
    let target = format!("oci:{}:{IMAGE_TAG}", layout.display());
    let push = ["push", "--disable-compression", name, &target];
    host::run([&buildah[..], &push].concat()).await?;
    Ok(())
}

/// What later commands need to know about the pushed images, by name.
pub(crate) fn to_json(images: &[Image]) -> String {
    let rows: BTreeMap<_, _> = images
        .iter()
        .map(|image| (image.name.as_str(), image.reference()))
        .collect();
    json!(rows).to_string()
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_paths_that_ldd_prints() {
        let printed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
            \tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)\n\
            \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let expected = [
            "/lib/x86_64-linux-gnu/libc.so.6",
            "/lib64/ld-linux-x86-64.so.2",
        ];
        assert_eq!(libraries(printed), expected);
    }
}
