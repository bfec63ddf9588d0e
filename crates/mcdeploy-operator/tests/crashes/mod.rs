//! A crash after every write of a rollout ends in the objects of a run without a crash.
//!
//! One deployment per `k`, each in a namespace of its own and with a model of its own;
//! the operator's writes to the k-th are cut off after k, the operator is killed, and
//! another one goes on.

mod difference;
mod dump;
mod normal;
mod settled;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use dump::Dump;
use mcdeploy_api::Epoch;
use mcdeploy_cluster::Fence;
use normal::Normal;
use settled::settle;

use crate::{
    CLOUDS,
    cloud::{World, always, counting},
    prepare,
};

/// Cases that run side by side. How many statuses are written depends on who is quick: in
/// a crowd some intermediate ones are never seen, so that writes are counted in a crowd of
/// the same size.
const CROWD: usize = 20;
/// Crowds at the most: a `k` that was not reached is tried again in a smaller one.
const CROWDS: usize = 12;
/// Without a write for this long, a run without a crash is over.
const STILL: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fault_c4_a_crash_after_every_write_ends_in_the_same_objects() {
    let world = World::start(&CLOUDS).await;
    let (mut cases, count) = without_a_crash(&world).await;
    assert!((25..90).contains(&count), "{count} writes in one rollout");
    let shared = Dump::read(&world).await;
    let mut open: Vec<usize> = (1..=count).rev().collect();
    for crowd in 1..=CROWDS {
        if open.is_empty() {
            break;
        }
        let now = open.split_off(open.len().saturating_sub(CROWD));
        let begun = now.iter().rev().zip(cases.len()..);
        let begun: Vec<Case> = begun.map(Case::after).collect();
        crash(&world, &begun).await;
        let missed = begun.iter().rev().filter(|case| !case.was_cut());
        open.extend(missed.map(|case| case.after));
        open.sort_unstable_by(|a, b| b.cmp(a));
        eprintln!("crowd {crowd}: crashes after {now:?} of {count} writes, still open {open:?}");
        cases.extend(begun);
    }
    assert!(
        open.is_empty(),
        "of {count} writes these were never the last one: {open:?}"
    );
    let compared = compare(&world, &cases, &shared);
    world.operate_while(always(), compared).await;
}

/// Rollouts that nothing disturbs, and the most writes that the operator makes for one.
async fn without_a_crash(world: &World) -> (Vec<Case>, usize) {
    let cases: Vec<Case> = (0..CROWD).map(|n| Case::after((&usize::MAX, n))).collect();
    for case in &cases {
        case.begin(world).await;
    }
    world
        .operate_while(always(), settle(world, &cases, 1))
        .await;
    for case in &cases {
        case.change(world).await;
    }
    let (fence, writes) = counting();
    world.operate_while(fence, settle(world, &cases, 2)).await;
    let writes = writes.lock().unwrap();
    let of = |case: &Case| {
        writes
            .iter()
            .filter(|call| mentions(call, &case.model))
            .count()
    };
    let counts: Vec<_> = cases.iter().map(of).collect();
    eprintln!("writes without a crash: {counts:?}");
    (cases, counts.into_iter().max().unwrap_or_default())
}

/// Rolls v1 out for every case, then v2 with each one's writes cut off where it says,
/// then, with another operator, to the end.
async fn crash(world: &World, cases: &[Case]) {
    for case in cases {
        case.begin(world).await;
    }
    world.operate_while(always(), settle(world, cases, 1)).await;
    for case in cases {
        case.change(world).await;
    }
    let left = cases.iter().map(|c| (c.model.clone(), Arc::clone(&c.left)));
    let left: BTreeMap<String, Arc<Mutex<usize>>> = left.collect();
    let fence: Fence = Arc::new(move |call| {
        let call = call.to_string();
        let Some((_, left)) = left.iter().find(|(model, _)| mentions(&call, model)) else {
            return true;
        };
        let mut left = left.lock().unwrap();
        let may = *left > 0;
        *left = left.saturating_sub(1);
        may
    });
    world
        .operate_while(fence, all_are_cut_or_still(cases))
        .await;
    let decided = settled::epochs(world).await;
    for case in cases {
        *case.epoch.lock().unwrap() = decided.get(&case.model).copied().unwrap_or_default();
    }
    world.operate_while(always(), settle(world, cases, 2)).await;
}

async fn all_are_cut_or_still(cases: &[Case]) {
    let now = || cases.iter().map(Case::left).collect::<Vec<_>>();
    let (mut before, mut still) = (now(), Duration::ZERO);
    let tick = Duration::from_millis(500);
    while still < STILL && cases.iter().any(|case| !case.was_cut()) {
        tokio::time::sleep(tick).await;
        still = if now() == before {
            still + tick
        } else {
            Duration::ZERO
        };
        before = now();
    }
}

/// What is read once all is done must be equal; that it comes to that is given a moment,
/// because the last statuses are written after the last effects.
async fn compare(world: &World, cases: &[Case], shared: &Dump) {
    let mut told = Vec::new();
    for _ in 0..20 {
        let dump = Dump::read(world).await;
        let expected = Normal::of(&dump, &cases[0].model);
        assert!(expected.objects.len() > 15, "{:?}", expected.objects.keys());
        told = difference::all(&shared.shared(), &dump.shared());
        for case in cases {
            let actual = Normal::of(&dump, &case.model);
            actual.check_epochs(*case.epoch.lock().unwrap());
            let differs = difference::all(&expected.objects, &actual.objects);
            told.extend(differs.into_iter().map(|what| format!("{case}: {what}")));
        }
        if told.is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    told.truncate(40);
    panic!("{}", told.join("\n"));
}

/// Whether a word of `text` is `model`.
fn mentions(text: &str, model: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| word == model)
}

/// One deployment, in a namespace with its model's name.
struct Case {
    model: String,
    /// The write after which the operator is cut off.
    after: usize,
    left: Arc<Mutex<usize>>,
    /// Of the decision in force when the operator was killed.
    epoch: Mutex<Epoch>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            usize::MAX => write!(f, "without a crash"),
            after => write!(f, "after a crash at write {after}"),
        }
    }
}

impl Case {
    fn after((after, index): (&usize, usize)) -> Self {
        Self {
            model: format!("m{index:03}"),
            after: *after,
            left: Arc::new(Mutex::new(*after)),
            epoch: Mutex::default(),
        }
    }

    fn left(&self) -> usize {
        *self.left.lock().unwrap()
    }

    fn was_cut(&self) -> bool {
        self.left() == 0
    }

    async fn begin(&self, world: &World) {
        let model = &self.model;
        prepare(world, model).await;
        world.push(model, model, "v1", "aws").await;
        world.rollout(model, model, "v1", &CLOUDS, None).await;
    }

    async fn change(&self, world: &World) {
        let model = &self.model;
        world.push(model, model, "v2", "gcp").await;
        world.rollout(model, model, "v2", &CLOUDS, None).await;
    }
}
