//! Stories in `scenarios/*.yaml`, told to the planner, with golden answers.

use std::{fs, path::Path};

use super::sim::Sim;
use mcdeploy_api::{Reason, ReplicaState};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    about: String,
    members: Vec<String>,
    script: Vec<Command>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Command {
    Push {
        version: String,
        store: String,
    },
    Rollout {
        version: String,
        clouds: Option<Vec<String>>,
    },
    /// Changes the placement; all of it is in scope.
    Place(Vec<String>),
    /// Changes the placement and leaves the scope as it is.
    PlaceOutsideScope(Vec<String>),
    Delete,
    Abandon(Vec<String>),
    RefuseDeletes(String),
    Weights(Vec<(String, i32)>),
    Replicas(i32),
    Pass(usize),
    Settle,
    Restart,
    Show,
    Lose(String),
    Heal(String),
    Pods {
        cluster: String,
        reason: String,
    },
    ProbeFails(String),
    GatewayDeaf(String),
    NoGateway(String),
    StoreSilent(String),
    TransfersFail(String),
    /// The store beside a cluster takes no copy.
    StoreRefuses(String),
    /// Gives a cluster a registry of its own.
    Registry(String),
    RegistrySilent(String),
    /// Gives the nodes of a cluster a cache.
    Cache(String),
    NodesSlow(String),
    NodesFail(String),
    /// Takes the image from the registry of this name.
    DropImage(String),
    Corrupt {
        store: String,
        version: String,
    },
    DropCopy {
        store: String,
        version: String,
    },
    DropObjects(String),
    DropSnapshot(String),
    /// The hub has kinds of an earlier version.
    OldKinds,
}

fn run(scenario: Scenario) -> String {
    let members: Vec<_> = scenario.members.iter().map(String::as_str).collect();
    let mut sim = Sim::new(&members);
    sim.log.push(format!("# {}", scenario.about));
    for command in scenario.script {
        let told = format!("> {command:?}");
        sim.log.push(told);
        obey(&mut sim, command);
    }
    let mut text = sim.log.join("\n");
    text.push('\n');
    text
}

fn obey(sim: &mut Sim, command: Command) {
    match command {
        Command::Push { version, store } => sim.push(&version, &store),
        Command::Rollout { version, clouds } => sim.rollout(&version, clouds.as_deref()),
        Command::Place(clouds) => sim.place(&clouds, false),
        Command::PlaceOutsideScope(clouds) => sim.place(&clouds, true),
        Command::Delete => sim.world.deployment.deleting = true,
        Command::Abandon(clusters) => sim
            .world
            .deployment
            .abandoned
            .extend(clusters.into_iter().map(Into::into)),
        Command::RefuseDeletes(name) => sim.faults.get_mut(&name).unwrap().keeps = true,
        Command::Weights(weights) => sim.weights(&weights),
        Command::Replicas(replicas) => {
            sim.world.deployment.generation += 1;
            sim.world.deployment.spec.replicas = replicas;
        }
        Command::Pass(times) => {
            for _ in 0..times {
                let _ = sim.pass();
            }
        }
        Command::Settle => {
            let plan = sim.settle(600);
            if sim.released {
                sim.log.push("gone".to_owned());
                return;
            }
            for waiting in &plan.waiting {
                let cluster = waiting.cluster.as_deref().unwrap_or("all");
                let line = format!("waits: {cluster} {}: {}", waiting.reason, waiting.message);
                sim.log.push(line);
            }
            assert!(plan.actions.is_empty(), "settled: {:?}", plan.actions);
        }
        Command::Restart => sim.restart(),
        Command::Show => {
            let lines = sim.show();
            sim.log.extend(lines);
        }
        Command::Lose(name) => sim.faults.get_mut(&name).unwrap().lost = true,
        Command::Heal(name) => *sim.faults.get_mut(&name).unwrap() = super::sim::Faults::default(),
        Command::Pods { cluster, reason } => {
            sim.faults.get_mut(&cluster).unwrap().pods = Reason::parse(&reason);
        }
        Command::ProbeFails(name) => sim.faults.get_mut(&name).unwrap().probe = true,
        Command::GatewayDeaf(name) => sim.faults.get_mut(&name).unwrap().gateway_deaf = true,
        Command::NoGateway(name) => sim.faults.get_mut(&name).unwrap().no_gateway = true,
        Command::StoreSilent(name) => sim.faults.get_mut(&name).unwrap().store_silent = true,
        Command::TransfersFail(name) => sim.faults.get_mut(&name).unwrap().transfers = true,
        Command::StoreRefuses(name) => sim.faults.get_mut(&name).unwrap().store_refuses = true,
        Command::Registry(name) => sim.set_registry(&name),
        Command::RegistrySilent(name) => sim.faults.get_mut(&name).unwrap().registry_silent = true,
        Command::Cache(name) => sim.set_cache(&name),
        Command::NodesSlow(name) => sim.faults.get_mut(&name).unwrap().nodes_slow = true,
        Command::NodesFail(name) => sim.faults.get_mut(&name).unwrap().nodes_fail = true,
        Command::DropImage(registry) => sim.images.retain(|image| image.registry != registry),
        Command::Corrupt { store, version } => {
            sim.copies
                .insert((store.into(), version), ReplicaState::ChecksumMismatch);
        }
        Command::DropCopy { store, version } => {
            sim.copies.remove(&(store.into(), version));
        }
        Command::DropObjects(name) => sim.truth.get_mut(&name).unwrap().revisions.clear(),
        Command::OldKinds => sim.old_kinds = true,
        Command::DropSnapshot(name) => sim.truth.get_mut(&name).unwrap().snapshot = None,
    }
}

#[test]
fn stories_are_answered_as_written() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    files.sort();
    assert!(files.len() > 5, "no scenarios in {}", dir.display());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let scenario: Scenario =
            serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        insta::with_settings!({ snapshot_path => "../scenarios", prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, run(scenario));
        });
    }
}
