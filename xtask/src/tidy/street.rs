//! The planner is a one-way street: a module of `mcdeploy-plan` imports only what is before
//! it. Held here, because to the compiler modules of one crate are all alike.

use std::{fs, path::Path};

use anyhow::Context as _;

use crate::shell::output;

const SOURCES: &str = "crates/mcdeploy-plan/src";
/// Modules in the order of the flow. What is within one of them imports from its neighbours
/// as it likes, unless they are named here too.
const ORDER: [&str; 19] = [
    "names",
    "revision",
    "world",
    "action",
    "asks",
    "validate",
    "placement",
    "artifact",
    "rollout",
    "traffic::weights",
    "traffic::leave",
    "traffic::safety",
    "traffic::snapshots",
    "traffic::epoch",
    "traffic",
    "upkeep",
    "plan",
    "status",
    "memory",
];

/// Every import that goes against the order.
pub(super) fn street_holds() -> anyhow::Result<Vec<String>> {
    let args = ["ls-files", "--cached", "--others", "--exclude-standard"];
    let files = output("git", &[&args[..], &[SOURCES]].concat())?;
    let mut findings = vec![];
    let mut found = vec![];
    for file in files.lines().filter(|file| Path::new(file).exists()) {
        let Some(module) = module(file) else {
            continue;
        };
        let text = fs::read_to_string(file).with_context(|| format!("read {file}"))?;
        let against = against(&module, &text).into_iter();
        findings.extend(against.map(|finding| format!("{file}: {finding}")));
        found.push(module.join("::"));
    }
    let gone = ORDER
        .iter()
        .filter(|name| !found.iter().any(|m| m == *name));
    findings.extend(gone.map(|name| {
        format!("{SOURCES} has no module {name}: take it out of xtask/src/tidy/street.rs")
    }));
    Ok(findings)
}

/// `…/src/traffic/leave.rs` is `traffic::leave`; the root is no part of the street.
fn module(file: &str) -> Option<Vec<String>> {
    let path = file.strip_prefix(SOURCES)?.strip_prefix('/')?;
    let path = path.strip_suffix(".rs")?;
    let module: Vec<_> = path.split('/').map(str::to_owned).collect();
    (module != ["lib"]).then_some(module)
}

/// Where the module that a path begins with is in the order; the longest name holds.
fn place(path: &[String]) -> Option<usize> {
    (1..=path.len()).rev().find_map(|length| {
        let name = path[..length].join("::");
        ORDER.iter().position(|module| *module == name)
    })
}

fn against(module: &[String], text: &str) -> Vec<String> {
    let own = place(module);
    let code: Vec<_> = text.lines().map(without_comment).collect();
    let code = code.join("\n");
    let mut findings = vec![];
    if own.is_none() {
        let name = module.join("::");
        findings.push(format!(
            "module {name} has no place: give it one in xtask/src/tidy/street.rs"
        ));
    }
    for path in imports(module, &code) {
        let name = path.join("::");
        match (own, place(&path)) {
            (_, None) => findings.push(format!(
                "crate::{name} does not say which module it is of: name that"
            )),
            (Some(own), Some(other)) if other > own => findings.push(format!(
                "{} imports {name}, which comes after it: imports go back along the street, so move what both need to where its facts are",
                module.join("::")
            )),
            (None | Some(_), Some(_)) => {}
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}

/// Paths from the root that a module names, in `use` or elsewhere.
fn imports(module: &[String], code: &str) -> Vec<Vec<String>> {
    let mut found = vec![];
    for (root, base) in [("crate::", &[][..]), ("super::", module)] {
        let mut ends = 0;
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            if at < ends || before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
                continue;
            }
            let mut base = base.to_vec();
            let mut rest = &code[at..];
            while let Some(after) = rest.strip_prefix(root) {
                base.pop();
                rest = after;
                if root == "crate::" {
                    break;
                }
            }
            if root == "super::" && rest.starts_with('*') {
                continue; // a test beside its code takes all of it
            }
            let rest = leaves(rest, &base, &mut found);
            ends = code.len() - rest.len();
        }
    }
    found
}

/// Every path of a tree as it stands after `use`, or of a path in code; answers what
/// follows.
fn leaves<'t>(tree: &'t str, prefix: &[String], found: &mut Vec<Vec<String>>) -> &'t str {
    let mut rest = tree.trim_start();
    if let Some(group) = rest.strip_prefix('{') {
        rest = group;
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            if let Some(after) = rest.strip_prefix('}') {
                return after;
            }
            let after = leaves(rest, prefix, found);
            if after.len() == rest.len() {
                return after; // no tree: what is not understood ends it
            }
            rest = after;
        }
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let length = if rest.starts_with('*') {
        1
    } else {
        rest.find(|c| !is_word(c)).unwrap_or(rest.len())
    };
    let (word, after) = rest.split_at(length);
    if word.is_empty() {
        return after;
    }
    let mut path = prefix.to_vec();
    if word != "self" {
        path.push(word.to_owned());
    }
    if let Some(below) = after.strip_prefix("::") {
        return leaves(below, &path, found);
    }
    found.push(path);
    match after.strip_prefix(" as ") {
        Some(alias) => alias.trim_start_matches(is_word),
        None => after,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, text: &str) -> Vec<String> {
        let module = module(&format!("{SOURCES}/{file}")).unwrap();
        against(&module, text)
    }

    #[test]
    fn imports_go_back_along_the_street() {
        let back =
            "use crate::{\n    action::{self, Action as A},\n    world::{MemberFacts, World},\n};";
        assert_eq!(check("rollout/keep.rs", back), [""; 0]);
        assert_eq!(
            check("traffic/safety.rs", "use super::weights::all;"),
            [""; 0]
        );
        assert_eq!(check("traffic/safety.rs", "use super::*;"), [""; 0]);
        assert_eq!(
            check("upkeep/gc/references.rs", "use super::Keep;"),
            [""; 0]
        );
        assert_eq!(
            check("world.rs", "/// See [`crate::plan`].\nmod member;"),
            [""; 0]
        );
    }

    #[test]
    fn an_import_of_what_comes_later_is_found_however_it_is_written() {
        for (file, text) in [
            (
                "world/store.rs",
                "use crate::{world::World, action::Action};",
            ),
            (
                "artifact/copies.rs",
                "use crate::{world::{A, B}, rollout::keep};",
            ),
            ("validate.rs", "    let x = crate::status::rows(world);"),
            ("traffic/leave.rs", "use super::safety::may_leave;"),
            ("traffic/weights.rs", "use super::Traffic;"),
            (
                "upkeep/gc/references.rs",
                "use super::super::super::status;",
            ),
            ("world.rs", "pub(crate) use crate::plan as x;"),
        ] {
            assert_eq!(check(file, text).len(), 1, "{file}: {text}");
        }
    }

    #[test]
    fn what_has_no_place_is_found() {
        assert_eq!(check("canary.rs", "").len(), 1);
        // A name of the root hides where it is from.
        assert_eq!(check("status.rs", "use crate::World;").len(), 1);
    }
}
