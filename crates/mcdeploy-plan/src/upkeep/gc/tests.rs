//! A table, and properties over random fleets.

use std::{collections::BTreeSet, time::Duration};

use mcdeploy_api::{
    ClusterStatus, Container, ModelDeploymentStatus, Provider, Sha256Digest, Ternary,
};
use proptest::prelude::*;

use super::*;
use crate::revision::RevisionRecord;

const DAY: Duration = Duration::from_hours(24);

fn digest(version: &str) -> Sha256Digest {
    Sha256Digest::of(version)
}

fn copy(store: &str, version: &str, days: u32) -> Copy {
    Copy {
        store: store.to_owned(),
        model: "m".to_owned(),
        version: version.to_owned(),
        state: CopyState::Whole(digest(version)),
        verified: true,
        age: Some(DAY * days),
        at_work: vec![],
    }
}

fn rules(stores: &[&str]) -> GcRules {
    GcRules {
        stores: stores.iter().map(|&store| store.to_owned()).collect(),
        named: vec![],
        keep_newest: 1,
        older_than: DAY * 7,
    }
}

fn known(version: &str, origin: &str) -> KnownVersion {
    KnownVersion {
        name: format!("default/m-{version}"),
        model: "m".to_owned(),
        version: version.to_owned(),
        digest: digest(version),
        origin: origin.to_owned(),
    }
}

fn record(version: &str) -> RevisionRecord {
    RevisionRecord {
        model: "m".to_owned(),
        version: version.to_owned(),
        manifest_digest: digest(version),
        container: Container {
            image: "i".to_owned(),
            args: vec![],
            env: vec![],
            resources: None,
        },
    }
}

fn row(revision: &str, version: Option<&str>) -> ClusterStatus {
    ClusterStatus {
        cluster: "aws".to_owned(),
        provider: Provider::Aws,
        reachable: Ternary::True,
        revision: Some(revision.to_owned()),
        version: version.map(str::to_owned),
        next_revision: None,
        desired_replicas: 1,
        ready_replicas: 1,
        weight: 100,
        artifact_bytes: 0,
        reason: String::new(),
        message: String::new(),
    }
}

fn recorded(revision: &str, version: &str) -> RecordRefs {
    RecordRefs {
        namespace: "default".to_owned(),
        deployment: "d".to_owned(),
        revision: revision.to_owned(),
        record: Ok(record(version)),
    }
}

/// `d` asks for v4, serves v3, and has v2 recorded.
fn hub() -> HubRefs {
    HubRefs {
        deployments: Ok(vec![DeploymentRefs {
            namespace: "default".to_owned(),
            name: "d".to_owned(),
            model_version: "m-v4".to_owned(),
            status: ModelDeploymentStatus {
                clusters: vec![row("r3", Some("v3"))],
                ..ModelDeploymentStatus::default()
            },
        }]),
        records: Ok(vec![recorded("r2", "v2"), recorded("r3", "v3")]),
        rollouts: Ok(vec![]),
        versions: Ok(vec![]),
    }
}

fn words(copies: &[Copy], references: &References, rules: &GcRules) -> Vec<String> {
    let verdicts = collect(copies, references, rules);
    let word = |verdict: &Verdict| match verdict {
        Verdict::Remove => "Remove".to_owned(),
        Verdict::Keep(keep) => format!("{}: {keep}", keep.as_str()),
    };
    let shown = verdicts.iter().map(|(index, verdict)| {
        let copy = &copies[*index];
        format!("{} {} {}", copy.store, copy.version, word(verdict))
    });
    shown.collect()
}

#[test]
fn each_copy_that_stays_says_why() {
    let mut copies: Vec<_> = (1..=9)
        .map(|n| copy("aws", &format!("v{n}"), 90 - n))
        .collect();
    copies[4].at_work = vec!["a copy to gcp".to_owned()];
    copies[5].age = Some(DAY);
    copies[6].age = None;
    copies[7].state = CopyState::Unreadable;
    let references = references(&hub());
    assert_eq!(
        words(&copies, &references, &rules(&["aws"])),
        [
            "aws v1 Remove",
            "aws v2 RollbackTarget: ModelDeployment default/d may return to revision r2",
            "aws v3 InUse: ModelDeployment default/d, revision r3",
            "aws v4 InUse: ModelDeployment default/d asks for it",
            "aws v5 Copying: a copy to gcp",
            "aws v6 TooYoung: written 86400 s ago",
            "aws v7 TooYoung: the store does not tell its age",
            "aws v8 Unreadable: its manifest cannot be read",
            "aws v9 Remove",
        ]
    );
    // v7's age is not known: it counts as new. v6 is the newest after it.
    copies[5].age = Some(DAY * 8);
    let two = GcRules {
        keep_newest: 2,
        ..rules(&["aws"])
    };
    let shown = words(&copies, &references, &two);
    assert_eq!(shown[5], "aws v6 Newest: among the newest of the model");
}

#[test]
fn bytes_that_are_referred_to_stay_under_another_name_too() {
    let mut other = copy("aws", "v1", 90);
    other.state = CopyState::Whole(digest("v3"));
    let shown = words(
        &[other, copy("aws", "v9", 1)],
        &references(&hub()),
        &rules(&["aws"]),
    );
    assert!(shown[0].starts_with("aws v1 InUse"), "{shown:?}");
}

#[test]
fn whatever_cannot_be_read_keeps_everything_that_nothing_else_keeps() {
    let copies = [
        copy("aws", "v1", 90),
        copy("aws", "v3", 90),
        copy("aws", "v9", 80),
    ];
    let refused = || "cannot list modelrollouts: forbidden".to_owned();
    let broken = RecordRefs {
        record: Err("not JSON".to_owned()),
        ..recorded("r1", "v1")
    };
    let unrecorded = DeploymentRefs {
        namespace: "default".to_owned(),
        name: "e".to_owned(),
        model_version: "m-v4".to_owned(),
        status: ModelDeploymentStatus {
            clusters: vec![row("r0", None)],
            ..ModelDeploymentStatus::default()
        },
    };
    let with = |change: &dyn Fn(&mut HubRefs)| {
        let mut hub = hub();
        change(&mut hub);
        words(&copies, &references(&hub), &rules(&["aws"]))
    };
    for shown in [
        with(&|hub| hub.deployments = Err(refused())),
        with(&|hub| hub.records = Err(refused())),
        with(&|hub| hub.rollouts = Err(refused())),
        with(&|hub| hub.versions = Err(refused())),
        with(&|hub| hub.records.as_mut().unwrap().push(broken.clone())),
        with(&|hub| hub.deployments.as_mut().unwrap().push(unrecorded.clone())),
    ] {
        assert!(
            shown[0].starts_with("aws v1 UnknownReferences: "),
            "{shown:?}"
        );
        assert!(
            !shown.iter().any(|line| line.ends_with("Remove")),
            "{shown:?}"
        );
    }
    assert_eq!(with(&|_| {})[0], "aws v1 Remove");
}

#[test]
fn a_rollout_whose_revision_is_forgotten_keeps_its_version_of_every_model() {
    let mut hub = hub();
    hub.rollouts = Ok(vec![RolloutRefs {
        namespace: "default".to_owned(),
        deployment: "d".to_owned(),
        to_revision: "r1".to_owned(),
        to_version: "v1".to_owned(),
    }]);
    let copies = [copy("aws", "v1", 90), copy("aws", "v9", 80)];
    let shown = words(&copies, &references(&hub), &rules(&["aws"]));
    assert!(shown[0].starts_with("aws v1 RollbackTarget"), "{shown:?}");
}

#[test]
fn one_verified_copy_stays_while_the_model_version_exists() {
    let mut copies = vec![
        copy("aws", "v1", 90),
        copy("azure", "v1", 90),
        copy("gcp", "v1", 90),
        copy("gcp", "v9", 80),
    ];
    let references = |origin: &str| References {
        versions: vec![known("v1", origin)],
        ..References::default()
    };
    let all = rules(&["aws", "azure", "gcp"]);
    let last =
        "LastReplica: the last verified copy of ModelVersion default/m-v1; delete that first";
    let shown = words(&copies, &references("gcp"), &all);
    assert_eq!(
        shown[..3],
        [
            "aws v1 Remove".to_owned(),
            "azure v1 Remove".to_owned(),
            format!("gcp v1 {last}")
        ]
    );
    // The one that it was pushed to is not good any more.
    copies[2].verified = false;
    let shown = words(&copies, &references("gcp"), &all);
    assert_eq!(
        shown[..3],
        [
            format!("aws v1 {last}"),
            "azure v1 Remove".to_owned(),
            "gcp v1 Remove".to_owned()
        ]
    );
    // None is known to be good: all stay.
    for copy in &mut copies {
        copy.verified = false;
    }
    let shown = words(&copies, &references("gcp"), &all);
    assert_eq!(
        shown.iter().filter(|line| line.ends_with(last)).count(),
        3,
        "{shown:?}"
    );
    assert_eq!(
        words(&copies, &References::default(), &all)[..3]
            .concat()
            .matches("Remove")
            .count(),
        3
    );
}

#[test]
fn a_named_version_goes_whatever_its_age_but_only_with_the_named_bytes() {
    let copies = [
        copy("aws", "v1", 0),
        copy("aws", "v3", 90),
        copy("gcp", "v1", 0),
    ];
    let named = |version: &str, digest: Option<Sha256Digest>| GcRules {
        named: vec![NamedVersion {
            model: "m".to_owned(),
            version: version.to_owned(),
            digest,
        }],
        ..rules(&["aws"])
    };
    let none = References::default();
    let by_digest = named("v1", Some(digest("v1")));
    assert_eq!(words(&copies, &none, &by_digest), ["aws v1 Remove"]);
    let shown = words(&copies, &none, &named("v1", Some(digest("v2"))));
    assert!(
        shown[0].starts_with("aws v1 OtherBytes: it is sha256:"),
        "{shown:?}"
    );
    let shown = words(&copies, &references(&hub()), &named("v3", None));
    assert!(shown[0].starts_with("aws v3 InUse"), "{shown:?}");
}

#[test]
fn what_a_killed_removal_left_goes_at_once_and_other_leftovers_when_they_are_old() {
    let mut copies = vec![
        copy("aws", "v1", 0),
        copy("aws", "v2", 0),
        copy("aws", "v3", 90),
        copy("aws", "v4", 90),
    ];
    copies[0].state = CopyState::BeingRemoved;
    copies[3].state = CopyState::Foreign;
    copies[1].state = CopyState::Unfinished;
    copies[2].state = CopyState::Unfinished;
    assert_eq!(
        words(&copies, &References::default(), &rules(&["aws"])),
        [
            "aws v1 Remove",
            "aws v2 TooYoung: written 0 s ago",
            "aws v3 Remove",
            "aws v4 Foreign: no manifest or claim of mcdeploy names these objects: \
             others may have written them",
        ]
    );
}

fn any_copy() -> impl Strategy<Value = Copy> {
    let state = (0..6_u8, 1..5_u8);
    (0..3_u8, 1..5_u8, state, any::<bool>(), 0..40_u32, 0..6_u8).prop_map(
        |(store, version, (state, bytes), verified, days, work)| {
            let digest = digest(&format!("v{bytes}"));
            Copy {
                state: match state {
                    0 => CopyState::Unfinished,
                    1 => CopyState::BeingRemoved,
                    2 => CopyState::Damaged(digest),
                    3 => CopyState::Foreign,
                    _ => CopyState::Whole(digest),
                },
                verified,
                age: (days > 0).then(|| DAY * days),
                at_work: (work == 0)
                    .then(|| "somebody".to_owned())
                    .into_iter()
                    .collect(),
                ..copy(
                    ["aws", "azure", "gcp"][usize::from(store)],
                    &format!("v{version}"),
                    0,
                )
            }
        },
    )
}

fn any_reference() -> impl Strategy<Value = Reference> {
    (1..5_u8, 1..5_u8, 0..3_u8).prop_map(|(version, bytes, kind)| {
        let version = format!("v{version}");
        let to = match kind {
            0 => Referred::Object(format!("m-{version}")),
            1 => Referred::Version(version),
            _ => Referred::Bytes {
                model: "m".to_owned(),
                version,
                digest: digest(&format!("v{bytes}")),
            },
        };
        let why = Keep::InUse {
            deployment: "default/d".to_owned(),
            revision: None,
        };
        Reference { to, why }
    })
}

fn any_fleet() -> impl Strategy<Value = (Vec<Copy>, References, GcRules)> {
    let copies = prop::collection::vec(any_copy(), 0..14).prop_map(|mut copies| {
        // A store has a version once.
        let mut seen = BTreeSet::new();
        copies.retain(|c| seen.insert((c.store.clone(), c.version.clone())));
        copies
    });
    let references = (
        prop::collection::vec(any_reference(), 0..4),
        prop::collection::vec(Just("forbidden".to_owned()), 0..2),
        prop::collection::btree_set(1..5_u8, 0..4),
    );
    let references = references.prop_map(|(known_refs, unknown, versions)| References {
        known: known_refs,
        unknown,
        versions: versions
            .iter()
            .map(|n| known(&format!("v{n}"), "gcp"))
            .collect(),
    });
    let rules =
        (0..3_usize, 0..20_u32, prop::option::of(1..5_u8)).prop_map(|(keep, days, named)| {
            let named = named.map(|n| NamedVersion {
                model: "m".to_owned(),
                version: format!("v{n}"),
                digest: None,
            });
            GcRules {
                named: named.into_iter().collect(),
                keep_newest: keep,
                older_than: DAY * days,
                ..rules(&["aws", "gcp"])
            }
        });
    (copies, references, rules)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn nothing_goes_that_is_referred_to_or_worked_on_or_the_last_of_its_kind(
        (copies, references, rules) in any_fleet()
    ) {
        let verdicts = collect(&copies, &references, &rules);
        let goes = |index: usize| verdicts.get(&index) == Some(&Verdict::Remove);
        for (index, copy) in copies.iter().enumerate().filter(|(index, _)| goes(*index)) {
            prop_assert!(rules.stores.contains(&copy.store));
            prop_assert!(references.unknown.is_empty());
            prop_assert!(copy.at_work.is_empty());
            prop_assert!(copy.state != CopyState::Foreign);
            for reference in &references.known {
                let (by_bytes, by_name) = match &reference.to {
                    Referred::Bytes { version, digest, .. } =>
                        (copy.state.digest() == Some(*digest), *version == copy.version),
                    Referred::Object(name) => (false, *name == format!("m-{}", copy.version)),
                    Referred::Version(version) => (false, *version == copy.version),
                };
                prop_assert!(!by_bytes && !by_name, "{index}: {copy:?} {reference:?}");
            }
        }
        for version in &references.versions {
            let of = copies.iter().enumerate().filter(|(_, c)| c.version == version.version);
            let with_manifest: Vec<_> = of.filter(|(_, c)| c.state.digest().is_some()).collect();
            let good = |c: &Copy| c.verified && c.state == CopyState::Whole(version.digest);
            let some_go = with_manifest.iter().any(|(index, _)| goes(*index));
            let one_stays = with_manifest.iter().any(|(index, c)| good(c) && !goes(*index));
            prop_assert!(!some_go || one_stays, "{version:?}");
        }
    }

    #[test]
    fn another_reference_never_lets_anything_go(
        (copies, references, rules) in any_fleet(), more in any_reference()
    ) {
        let mut with = references.clone();
        with.known.push(more);
        let before = collect(&copies, &references, &rules);
        let after = collect(&copies, &with, &rules);
        for (index, verdict) in after {
            if verdict == Verdict::Remove {
                // A copy that stays for the reference may be the one that lets another go.
                let had_last = before.get(&index).is_some_and(|v| matches!(
                    v, Verdict::Keep(Keep::LastReplica { .. })
                ));
                prop_assert!(before.get(&index) == Some(&Verdict::Remove) || had_last);
            }
        }
    }
}
