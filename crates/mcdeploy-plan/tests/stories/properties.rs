//! Properties over random stories. The simulated world asserts the invariants at every
//! effect; what is checked here is where things end.

use super::sim::{Faults, Sim};
use mcdeploy_api::{ConditionStatus, RolloutStepState};
use mcdeploy_plan::plan;
use proptest::{prelude::*, test_runner::RngSeed};

const MEMBERS: [&str; 3] = ["aws", "gcp", "azure"];

#[derive(Clone, Debug)]
enum Event {
    Rollout { version: u8, scope: Vec<u8> },
    Place(Vec<u8>),
    Delete,
    Keeps(u8),
    Weights([u8; 3]),
    Lose(u8),
    Heal(u8),
    Pods(u8),
    Probe(u8),
    Deaf(u8),
    Silent(u8),
    RegistrySilent(u8),
    DropImage(u8),
    Registry(u8),
    Restart,
    Pass(u8),
    CrashAfter(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let cluster = 0..3u8;
    prop_oneof![
        3 => (1..5u8, prop::collection::vec(0..3u8, 0..3))
            .prop_map(|(version, scope)| Event::Rollout { version, scope }),
        2 => prop::collection::vec(0..3u8, 1..3).prop_map(Event::Place),
        1 => cluster.clone().prop_map(Event::Keeps),
        1 => any::<[u8; 3]>().prop_map(|w| Event::Weights(w.map(|w| w % 4))),
        2 => cluster.clone().prop_map(Event::Lose),
        2 => cluster.clone().prop_map(Event::Heal),
        1 => cluster.clone().prop_map(Event::Pods),
        1 => cluster.clone().prop_map(Event::Probe),
        1 => cluster.clone().prop_map(Event::Deaf),
        1 => cluster.clone().prop_map(Event::Silent),
        1 => cluster.clone().prop_map(Event::RegistrySilent),
        1 => cluster.clone().prop_map(Event::DropImage),
        1 => cluster.prop_map(Event::Registry),
        1 => Just(Event::Restart),
        6 => (1..8u8).prop_map(Event::Pass),
        3 => (0..4u8).prop_map(Event::CrashAfter),
    ]
}

fn start() -> Sim {
    let mut sim = Sim::new(&MEMBERS);
    // One pulls what is named; two from registries of their own.
    sim.set_registry("aws");
    sim.set_registry("gcp");
    sim.set_cache("gcp");
    for version in 1..5 {
        sim.push(&format!("v{version}"), MEMBERS[version % 3]);
    }
    let all = MEMBERS.map(str::to_owned);
    sim.rollout("v1", Some(&all));
    sim
}

fn apply(sim: &mut Sim, event: &Event) {
    let name = |index: u8| MEMBERS[usize::from(index)];
    let mut fault = |index: u8, set: fn(&mut Faults)| {
        set(sim.faults.get_mut(name(index)).unwrap());
    };
    match event {
        Event::Rollout { version, scope } => {
            let scope: Vec<_> = scope.iter().map(|i| name(*i).to_owned()).collect();
            let scope = (!scope.is_empty()).then_some(&scope[..]);
            sim.rollout(&format!("v{version}"), scope);
        }
        Event::Place(placed) => {
            let placed: Vec<_> = placed.iter().map(|i| name(*i).to_owned()).collect();
            sim.place(&placed, false);
        }
        Event::Delete => sim.world.deployment.deleting = true,
        Event::Keeps(i) => fault(*i, |f| f.keeps = true),
        Event::Weights(weights) => {
            let weights = MEMBERS.iter().zip(weights);
            let weights: Vec<_> = weights
                .map(|(n, w)| ((*n).to_owned(), i32::from(*w)))
                .collect();
            sim.weights(&weights);
        }
        Event::Lose(i) => fault(*i, |f| f.lost = true),
        Event::Heal(i) => fault(*i, |f| *f = Faults::default()),
        Event::Pods(i) => fault(*i, |f| f.pods = Some(mcdeploy_api::Reason::CrashLoop)),
        Event::Probe(i) => fault(*i, |f| f.probe = true),
        Event::Deaf(i) => fault(*i, |f| f.gateway_deaf = true),
        Event::Silent(i) => fault(*i, |f| f.store_silent = true),
        Event::RegistrySilent(i) => fault(*i, |f| f.registry_silent = true),
        Event::DropImage(i) => {
            let registry = format!("{}.test", name(*i));
            sim.images.retain(|image| image.registry != registry);
        }
        Event::Registry(i) => sim.set_registry(name(*i)),
        Event::Restart => sim.restart(),
        Event::Pass(times) => {
            for _ in 0..*times {
                let _ = sim.pass();
            }
        }
        Event::CrashAfter(effects) => {
            let _ = sim.pass_until(usize::from(*effects));
            sim.restart();
        }
    }
}

fn heal_all(sim: &mut Sim) {
    for faults in sim.faults.values_mut() {
        *faults = Faults::default();
    }
}

/// What does not depend on how one got there.
fn final_state(sim: &Sim) -> Vec<String> {
    let mut lines = vec![];
    for (name, view) in &sim.truth {
        let revisions: Vec<_> = view.revisions.keys().collect();
        let routes = view.snapshot.as_ref().map(|s| s.spec.content_hash());
        lines.push(format!(
            "{name} {revisions:?} {routes:?} {:?} {:?}",
            view.transfers, view.image_copies
        ));
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_story_ends_as_desired_once_faults_are_healed(
        events in prop::collection::vec(event(), 0..40)
    ) {
        let mut sim = start();
        for event in &events {
            apply(&mut sim, event);
        }
        heal_all(&mut sim);
        let mut last = sim.settle(900);
        if last.invalid.is_some() {
            // The scope was left without a placed cluster.
            let placed = mcdeploy_plan::placed(&sim.world.deployment.spec, &sim.world.members);
            let placed: Vec<_> = placed.into_iter().map(String::from).collect();
            sim.place(&placed, false);
            last = sim.settle(900);
        }
        prop_assert!(last.is_settled(), "{last:?}\n{}", sim.log.join("\n"));
        let done = last.steps.iter().all(|s| s.state == RolloutStepState::Done);
        prop_assert!(done, "{}", sim.show().join("\n"));
        let target = last.target.unwrap().0;
        for step in &last.steps {
            let view = &sim.truth[&step.cluster];
            prop_assert_eq!(view.revisions.keys().collect::<Vec<_>>(), vec![&target]);
        }
        let scope: Vec<_> = last.steps.iter().map(|step| step.cluster.clone()).collect();
        let placed = mcdeploy_plan::placed(&sim.world.deployment.spec, &sim.world.members);
        for (name, view) in &sim.truth {
            if !placed.contains(name) {
                prop_assert!(view.revisions.is_empty() && view.snapshot.is_none(), "{name}");
            } else if !scope.contains(name) {
                prop_assert_eq!(view.revisions.len(), 1, "{} serves one revision", name);
            }
        }
        let complete = sim.world.deployment.status.conditions.iter().find(|c| c.type_ == "Complete");
        prop_assert_eq!(&complete.unwrap().status, ConditionStatus::True.as_str());
    }

    #[test]
    fn any_story_ends_with_nothing_left_once_it_is_deleted(
        before in prop::collection::vec(event(), 0..20),
        after in prop::collection::vec(event(), 0..10),
    ) {
        let mut sim = start();
        for event in &before {
            apply(&mut sim, event);
        }
        apply(&mut sim, &Event::Delete);
        for event in &after {
            // What users change now does not bring it back.
            apply(&mut sim, event);
        }
        heal_all(&mut sim);
        for _ in 0..900 {
            if sim.released {
                break;
            }
            let _ = sim.pass();
        }
        // The check at each effect has seen that every cluster is clean.
        prop_assert!(sim.released, "{}", sim.log.join("\n"));
    }

    #[test]
    fn a_settled_world_needs_nothing_even_from_a_new_leader(
        events in prop::collection::vec(event(), 0..20)
    ) {
        let mut sim = start();
        for event in &events {
            apply(&mut sim, event);
        }
        heal_all(&mut sim);
        let _ = sim.settle(900);
        let before = sim.world.deployment.status.clone();
        sim.restart();
        for _ in 0..10 {
            let again = sim.pass();
            prop_assert!(again.actions.is_empty(), "{:?}", again.actions);
        }
        prop_assert_eq!(before, sim.world.deployment.status.clone());
        prop_assert!(plan(&sim.world).actions.is_empty());
    }

    #[test]
    fn clusters_outside_the_scope_keep_what_they_have(scope in 0..3u8, version in 2..5u8) {
        let mut sim = start();
        let _ = sim.settle(100);
        let before = final_state(&sim);
        let name = MEMBERS[usize::from(scope)].to_owned();
        sim.rollout(&format!("v{version}"), Some(&[name]));
        let _ = sim.settle(100);
        let outside = sim.truth.iter().filter(|(n, _)| *n != MEMBERS[usize::from(scope)]);
        for (name, view) in outside {
            let ids: Vec<_> = view.revisions.keys().collect();
            let line = before.iter().find(|line| line.starts_with(name.as_str())).unwrap();
            let kept = line.starts_with(&format!("{name} {ids:?}"));
            prop_assert!(kept);
        }
    }
}

#[test]
fn the_past_is_bounded_and_what_serves_is_remembered() {
    let mut sim = start();
    let _ = sim.settle(100);
    let only_aws = ["aws".to_owned()];
    for round in 0..40 {
        sim.rollout(&format!("v{}", 2 + round % 3), Some(&only_aws));
        let last = sim.settle(100);
        assert!(last.is_settled(), "{last:?}");
    }
    assert_eq!(sim.world.rollouts.len(), 10);
    for view in sim.truth.values() {
        for revision in view.revisions.keys() {
            assert!(
                sim.world.records.contains_key(revision),
                "{revision} is forgotten"
            );
        }
    }
}

#[test]
fn a_crash_after_any_effect_ends_in_the_same_state() {
    let story = |crash: Option<usize>| {
        let mut sim = start();
        let _ = sim.settle(200);
        sim.rollout("v2", Some(&["aws".to_owned(), "gcp".to_owned()]));
        let mut left = crash;
        for _ in 0..200 {
            let Some(effects) = left else { break };
            let plan = sim.pass_until(effects);
            left = effects.checked_sub(plan.actions.len()).filter(|n| *n > 0);
            if left.is_none() {
                sim.restart();
            }
            if !plan.is_moving() {
                break;
            }
        }
        let done = sim.settle(200);
        assert!(done.is_settled());
        final_state(&sim)
    };
    let expected = story(None);
    for effects in 0..40 {
        assert_eq!(story(Some(effects)), expected, "crash after {effects}");
    }
}
