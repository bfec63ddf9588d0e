//! Orders versions by their names. Pure.
//!
//! Numbers first, then what semver says of pre-releases: `1.0.0-rc.1` comes before `1.0.0`,
//! and so does what people write for the same, `v2-rc1` and `2.0rc1`. A name that is none of
//! these sorts by the numbers in it.
//!
//! **Source:** <https://semver.org/#spec-item-11> and
//! <https://packaging.python.org/en/latest/specifications/version-specifiers/>, 2026-11-30.

use semver::{BuildMetadata, Prerelease};

/// A version name in its order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionKey {
    numbers: Vec<u64>,
    /// Empty, which sorts last, for a release.
    pre_release: Prerelease,
    build: BuildMetadata,
    name: String,
}

/// Words that begin a pre-release without a hyphen before them.
const PRE_RELEASE: [&str; 10] = [
    "alpha", "beta", "dev", "nightly", "pre", "preview", "rc", "snapshot", "a", "b",
];

impl VersionKey {
    /// The place of a name.
    pub fn new(name: &str) -> Self {
        let (numbers, pre_release, build) = parts(name).unwrap_or_else(|| {
            let numbers = name.split(|c: char| !c.is_ascii_digit());
            let numbers = numbers.filter_map(|digits| digits.parse().ok()).collect();
            (numbers, Prerelease::EMPTY, BuildMetadata::EMPTY)
        });
        Self {
            numbers,
            pre_release,
            build,
            name: name.to_owned(),
        }
    }

    /// As it was given.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// Numbers, pre-release and build of a name that is a version, `v` before it or not.
fn parts(name: &str) -> Option<(Vec<u64>, Prerelease, BuildMetadata)> {
    let bare = name.strip_prefix(['v', 'V']).unwrap_or(name);
    let (bare, build) = bare.split_once('+').unwrap_or((bare, ""));
    let end = bare
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(bare.len());
    let (core, rest) = bare.split_at(end);
    // The point of `1.0.0.dev1` belongs to neither.
    let mut numbers = core
        .trim_end_matches('.')
        .split('.')
        .map(|digits| digits.parse().ok())
        .collect::<Option<Vec<u64>>>()?;
    let is_semver = numbers.len() == 3;
    // 1.0 and 1.0.0 are one version; their names tell them apart.
    while numbers.len() > 1 && numbers.last() == Some(&0) {
        numbers.pop();
    }
    let pre_release = match rest.strip_prefix('-') {
        Some(rest) if is_semver || rest.starts_with(|c: char| c.is_ascii_alphabetic()) => rest,
        // Such as 2024-10-01: the numbers in it are its order.
        Some(_) => return None,
        None => {
            let word = rest.trim_start_matches('_');
            if !rest.is_empty() && !is_pre_release(word) {
                return None;
            }
            word
        }
    };
    Some((
        numbers,
        identifiers(pre_release)?,
        BuildMetadata::new(build).unwrap_or_default(),
    ))
}

fn is_pre_release(word: &str) -> bool {
    let letters = word
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(word.len());
    let (letters, after) = word.split_at(letters);
    let letters = letters.to_ascii_lowercase();
    // One letter is a pre-release only with a number: 2b may be a name.
    PRE_RELEASE.contains(&letters.as_str()) && (letters.len() > 1 || !after.is_empty())
}

/// As semver takes them: letters, digits and hyphens between points, numbers without zeros
/// before them.
fn identifiers(text: &str) -> Option<Prerelease> {
    let clean = |part: &str| -> String {
        let is_number = part.bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            let digits = part.trim_start_matches('0');
            return if digits.is_empty() { "0" } else { digits }.to_owned();
        }
        let letter = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        part.chars().map(letter).collect()
    };
    let parts = text.split('.').filter(|part| !part.is_empty());
    Prerelease::new(&parts.map(clean).collect::<Vec<_>>().join(".")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(names: &[&str]) -> Vec<String> {
        let mut keys: Vec<VersionKey> = names.iter().map(|name| VersionKey::new(name)).collect();
        keys.sort();
        keys.into_iter().map(|key| key.name).collect()
    }

    /// Each list is in its order.
    #[test]
    fn versions_sort_as_semver_has_them() {
        let table: [&[&str]; 14] = [
            &["1.0.0-rc1", "1.0.0"],
            &[
                "1.0.0-alpha",
                "1.0.0-alpha.1",
                "1.0.0-alpha.beta",
                "1.0.0-beta",
                "1.0.0-beta.2",
                "1.0.0-beta.11",
                "1.0.0-rc.1",
                "1.0.0",
                "1.0.1-rc.1",
            ],
            &["v1", "v2-rc1", "v2", "v10"],
            &["v1.2", "v1.10", "v9", "v10"],
            &["1.0.0", "1.0.0+build.1", "1.0.0+build.2", "1.0.1"],
            &["1.0.0-rc.1+5", "1.0.0"],
            &["1.0.0rc1", "1.0.0"],
            &["2.0b2", "2.0rc1", "2.0"],
            &["2.0.0.dev1", "2.0"],
            &["v1_rc1", "v1", "v2b"],
            &["1.0.0-rc.01", "1.0.0-rc.2", "1.0.0"],
            &["1.0.0-1", "1.0.0"],
            &["2024-5-1", "2024-10-01", "2024-10-2"],
            &["prod-3", "prod-20"],
        ];
        for names in table {
            let mut reversed = names.to_vec();
            reversed.reverse();
            assert_eq!(sorted(&reversed), names, "{names:?}");
        }
    }

    #[test]
    fn names_that_are_equal_as_versions_are_not_one() {
        let names = ["1.0", "1.0.0", "v1", "v1.0.0", "1.0.0+a"];
        let mut keys: Vec<VersionKey> = names.iter().map(|name| VersionKey::new(name)).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), names.len());
    }

    #[test]
    fn no_name_panics() {
        for name in [
            "",
            "v",
            "-",
            "+",
            "v-rc",
            "99999999999999999999999",
            "1..2",
            "1.0.0-",
            "ü",
        ] {
            assert_eq!(VersionKey::new(name).name(), name);
        }
    }
}
