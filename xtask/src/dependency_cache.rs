//! Compiled dependencies that outlive a checkout.
//!
//! Crates of a registry never change, and cargo knows by its fingerprints whether what lies
//! in `target/` was made from the same sources, features, profile and compiler. So a fresh
//! clone may start from what another one compiled, wherever that one lay. Crates of the
//! workspace are never kept: cargo compares their times only, and would take those of
//! another tree for this one's.

use std::{
    collections::BTreeSet,
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::SystemTime,
};

use anyhow::{Context as _, ensure};

use crate::shell::{cache_dir, output, say, target_dir};

/// States that are kept: this one, and one of before a change of dependencies.
const KEPT: usize = 2;
/// A state that starts from an older one also carries what only that one needed. Past this
/// size, in bytes, nothing starts from it but what is the same.
const CARRIED_ON: u64 = 4 << 30;
/// Written into a target directory that has its dependencies, or needs none.
const MARK: &str = ".mcdeploy-dependencies";
/// In the order in which they are put in place: cargo takes nothing without a fingerprint,
/// so that an interrupted copy is compiled again.
const DIRECTORIES: [&str; 3] = ["deps", "build", ".fingerprint"];

/// Puts compiled dependencies into a target directory that has none of them yet.
pub(crate) fn restore() -> anyhow::Result<()> {
    let debug = target_dir().join("debug");
    if debug.join(MARK).exists() {
        return Ok(());
    }
    if let Some(kept) = start_from()? {
        say(format!("taking compiled crates from {}", kept.display()));
        copy(&kept, &debug, &registry_packages()?)?;
    }
    fs::create_dir_all(&debug)?;
    fs::write(debug.join(MARK), "").context("mark the target directory")
}

/// Keeps the compiled dependencies of the target directory, unless that was done.
pub(crate) fn keep() -> anyhow::Result<()> {
    let kept = directory().join(key()?);
    if kept.exists() {
        return Ok(());
    }
    let partial = kept.with_extension(format!("partial-{}", std::process::id()));
    fs::create_dir_all(&partial).with_context(|| format!("make {}", partial.display()))?;
    copy(&target_dir().join("debug"), &partial, &registry_packages()?)?;
    // Another run may have been quicker; both hold the same.
    if fs::rename(&partial, &kept).is_err() {
        fs::remove_dir_all(&partial).context("remove a second copy")?;
    }
    say(format!("kept compiled crates in {}", kept.display()));
    remove_all_but_the_newest()
}

fn directory() -> PathBuf {
    cache_dir().join("deps")
}

/// What decides what dependencies compile to. A package's own manifest is not in it: most
/// edits of one change nothing here, and cargo compiles what does.
fn key() -> anyhow::Result<String> {
    let mut hash = DefaultHasher::new();
    output("rustc", &["-vV"])?.hash(&mut hash);
    for file in ["Cargo.lock", "Cargo.toml", ".cargo/config.toml"] {
        fs::read(file)
            .with_context(|| format!("read {file}"))?
            .hash(&mut hash);
    }
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        std::env::var_os(variable).hash(&mut hash);
    }
    Ok(format!("{:016x}", hash.finish()))
}

/// The state of this key, else the newest one: most of its crates are the same.
fn start_from() -> anyhow::Result<Option<PathBuf>> {
    let exact = directory().join(key()?);
    if exact.exists() {
        return Ok(Some(exact));
    }
    let Some(newest) = newest_first().into_iter().next() else {
        return Ok(None);
    };
    let words = output("du", &["-s", "-B1", &newest.to_string_lossy()])?;
    let size = words
        .split_whitespace()
        .next()
        .and_then(|word| word.parse::<u64>().ok());
    Ok(size.is_some_and(|size| size < CARRIED_ON).then_some(newest))
}

/// States that are whole.
fn newest_first() -> Vec<PathBuf> {
    let entries = fs::read_dir(directory()).into_iter().flatten().flatten();
    let whole = entries.filter(|entry| entry.path().extension().is_none());
    let mut found: Vec<_> = whole
        .map(|entry| {
            let made = entry.metadata().and_then(|data| data.modified());
            (made.unwrap_or(SystemTime::UNIX_EPOCH), entry.path())
        })
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, path)| path).collect()
}

fn remove_all_but_the_newest() -> anyhow::Result<()> {
    let mut old = newest_first().split_off(KEPT.min(newest_first().len()));
    // What killed runs left, after any running one would be done.
    let entries = fs::read_dir(directory())?.flatten();
    old.extend(entries.filter(is_abandoned).map(|entry| entry.path()));
    for path in old {
        fs::remove_dir_all(&path).with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(())
}

fn is_abandoned(entry: &fs::DirEntry) -> bool {
    let age = entry
        .metadata()
        .and_then(|data| data.modified())
        .map(|made| made.elapsed());
    let is_old = matches!(age, Ok(Ok(age)) if age.as_secs() > 3600);
    is_old && entry.path().extension().is_some()
}

/// Names of packages that came from a registry, and that no package of ours has too.
fn registry_packages() -> anyhow::Result<BTreeSet<String>> {
    let lock = fs::read_to_string("Cargo.lock").context("read Cargo.lock")?;
    Ok(from_registries(&lock))
}

fn from_registries(lock: &str) -> BTreeSet<String> {
    let (mut theirs, mut ours) = (BTreeSet::new(), BTreeSet::new());
    for package in lock.split("[[package]]").skip(1) {
        let of = |key: &str| {
            let mut lines = package.lines();
            lines.find_map(|line| line.strip_prefix(key)?.strip_suffix('"'))
        };
        let Some(name) = of("name = \"") else {
            continue;
        };
        match of("source = \"registry+") {
            Some(_) => theirs.insert(name.to_owned()),
            None => ours.insert(name.to_owned()),
        };
    }
    theirs.retain(|name| !ours.contains(name));
    theirs
}

/// Copies what belongs to `packages`, with its times. What is there already, because this
/// program needed it, is replaced: being newer, it would make all that depends on it stale.
fn copy(from: &Path, to: &Path, packages: &BTreeSet<String>) -> anyhow::Result<()> {
    let hashes = hashes(from, packages);
    for directory in DIRECTORIES {
        let (from, to) = (from.join(directory), to.join(directory));
        fs::create_dir_all(&to).with_context(|| format!("make {}", to.display()))?;
        let entries = fs::read_dir(&from).into_iter().flatten().flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let names: Vec<String> = names
            .filter(|name| hash_of(name).is_some_and(|hash| hashes.contains(hash)))
            .collect();
        copy_names(&from, &to, &names)?;
    }
    Ok(())
}

/// `cp`, because it keeps times to the nanosecond, shares blocks where the file system can,
/// and copies a gigabyte in one call.
fn copy_names(from: &Path, to: &Path, names: &[String]) -> anyhow::Result<()> {
    let mut command = Command::new("xargs");
    command
        .args([
            "-0",
            "-r",
            "cp",
            "-a",
            "--reflink=auto",
            "--remove-destination",
            "-t",
        ])
        .arg(std::path::absolute(to)?)
        .current_dir(from)
        .stdin(Stdio::piped());
    let mut child = command.spawn().context("start xargs")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(names.join("\0").as_bytes())?;
    }
    let status = child.wait()?;
    ensure!(status.success(), "copy compiled crates: {status}");
    Ok(())
}

/// Hashes that cargo gave to what it made of `packages`: in the names of fingerprints, which
/// are `PACKAGE-HASH`, and of the files beside them.
fn hashes(debug: &Path, packages: &BTreeSet<String>) -> BTreeSet<String> {
    let entries = fs::read_dir(debug.join(".fingerprint"))
        .into_iter()
        .flatten()
        .flatten();
    let mut found = BTreeSet::new();
    for entry in entries {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(hash) = hash_of(&name)
            && packages.contains(&name[..name.len() - hash.len() - 1])
        {
            found.insert(hash.to_owned());
        }
    }
    found
}

/// The hash in `serde-4dab324a7b2ccb4c` or `libserde-4dab324a7b2ccb4c.rlib`.
fn hash_of(name: &str) -> Option<&str> {
    let stem = name.split('.').next()?;
    let (_, hash) = stem.rsplit_once('-')?;
    let is_hash = hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    is_hash.then_some(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
[[package]]
name = "serde"
version = "1.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"

[[package]]
name = "mcdeploy-store"
version = "0.1.0"

[[package]]
name = "both"
version = "0.1.0"

[[package]]
name = "both"
version = "2.0.0"
source = "registry+https://github.com/rust-lang/crates.io-index"
"#;

    fn write(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, path.to_string_lossy().as_bytes()).unwrap();
    }

    #[test]
    fn no_crate_of_a_workspace_is_ever_taken() {
        let dir = std::env::temp_dir().join(format!("mcdeploy-deps-{}", std::process::id()));
        let (from, to) = (dir.join("from"), dir.join("to"));
        let theirs = [
            ".fingerprint/serde-0123456789abcdef/lib-serde",
            "deps/libserde-0123456789abcdef.rlib",
            "deps/serde-0123456789abcdef.d",
            ".fingerprint/serde-1111456789abcdef/run-build-script",
            "build/serde-1111456789abcdef/out/made.rs",
        ];
        let ours = [
            ".fingerprint/mcdeploy-store-2222456789abcdef/lib-mcdeploy-store",
            "deps/libmcdeploy_store-2222456789abcdef.rlib",
            "build/mcdeploy-store-2222456789abcdef/out/made.rs",
            ".fingerprint/both-3333456789abcdef/lib-both",
            "deps/libboth-3333456789abcdef.rlib",
            // A test that has the name of a crate.
            "deps/serde-4444456789abcdef",
            "deps/no-hash",
        ];
        for name in theirs.iter().chain(&ours) {
            write(&from.join(name));
        }
        // Newer than what is kept, which was made from the older one.
        write(&to.join(theirs[1]));
        copy(&from, &to, &from_registries(LOCK)).unwrap();
        for name in theirs {
            assert!(to.join(name).exists(), "{name}");
            let time = |dir: &Path| fs::metadata(dir.join(name)).unwrap().modified().unwrap();
            assert_eq!(time(&from), time(&to), "{name}");
        }
        for name in ours {
            assert!(!to.join(name).exists(), "{name}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
