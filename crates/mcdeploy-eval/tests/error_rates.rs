//! How often the judge is wrong, measured: 1,000 versions of each kind, 300 rows each, at a
//! level of 0.95. Seeds are fixed, so the rates are the same in every run.

#![cfg(test)]

use mcdeploy_eval::{
    Answers, Baseline, Candidate, Confidence, Gate, Labels, MetricGate, MetricName, Report, Truth,
    Verdict, WhenInconclusive, counts::Average, judge, random::Random,
};

const VERSIONS: u64 = 1000;
const ROWS: usize = 300;
const CLASSES: usize = 3;

/// Verdicts of many versions.
#[derive(Debug, Default)]
struct Tally {
    pass: u32,
    fail: u32,
    inconclusive: u32,
}

fn tally(version: impl Fn(u64) -> Report) -> Tally {
    let mut tally = Tally::default();
    for seed in 0..VERSIONS {
        *match version(seed).verdict {
            Verdict::Pass => &mut tally.pass,
            Verdict::Fail => &mut tally.fail,
            Verdict::Inconclusive => &mut tally.inconclusive,
        } += 1;
    }
    println!("{tally:?}");
    tally
}

fn gate(metrics: Vec<MetricGate>, seed: u64) -> Gate {
    Gate {
        metrics,
        slices: vec![],
        confidence: Confidence {
            level: 0.95,
            resamples: 300,
            seed,
        },
        inconclusive: WhenInconclusive::Hold,
    }
}

fn metric(name: MetricName) -> MetricGate {
    MetricGate::new(name)
}

/// What a rollout would ask: two bounds, and no more than 0.05 worse than the incumbent.
fn usual(seed: u64) -> Gate {
    let accuracy = MetricGate {
        lower_bound: Some(0.85),
        max_decrease: Some(0.05),
        ..metric(MetricName::Accuracy)
    };
    let f1 = MetricGate {
        average: Some(Average::Macro),
        lower_bound: Some(0.85),
        ..metric(MetricName::F1)
    };
    gate(vec![accuracy, f1], seed)
}

fn labels(count: usize) -> Labels {
    Labels::new((0..count).map(|class| class.to_string()).collect()).unwrap()
}

/// Each row right with probability `right`, else one of the other classes.
fn answers(random: &mut Random, classes: usize, truth: &[usize], right: f64) -> Vec<usize> {
    let answer = |class: &usize| {
        let wrong = random.unit() >= right;
        let step = 1 + random.below(classes - 1);
        if wrong {
            (class + step) % classes
        } else {
            *class
        }
    };
    truth.iter().map(answer).collect()
}

fn truths(random: &mut Random, classes: usize) -> Vec<usize> {
    (0..ROWS).map(|_| random.below(classes)).collect()
}

fn pair(
    classes: usize,
    truth: Vec<usize>,
    new: Vec<usize>,
    old: Vec<usize>,
) -> (Candidate, Baseline) {
    let truth = Truth::Classes(labels(classes), truth);
    let candidate = Candidate::new(truth, Answers::Classes(new, None)).unwrap();
    let baseline = candidate.baseline(Answers::Classes(old, None)).unwrap();
    (candidate, baseline)
}

/// An incumbent that is right on 94 % of rows, and what `damage` makes of it.
fn version(seed: u64, damage: impl Fn(&mut Random, Vec<usize>) -> Vec<usize>) -> Report {
    let mut random = Random::new(seed);
    let truth = truths(&mut random, CLASSES);
    let old = answers(&mut random, CLASSES, &truth, 0.94);
    let new = damage(&mut random, old.clone());
    let (candidate, baseline) = pair(CLASSES, truth, new, old);
    judge(&usual(seed), &candidate, Some(&baseline)).unwrap()
}

#[test]
fn bad_versions_fail_and_none_passes() {
    let tally = tally(|seed| {
        version(seed, |random, old| match seed % 4 {
            // Labels shifted by one.
            0 => old.iter().map(|class| (class + 1) % CLASSES).collect(),
            // Two classes swapped.
            1 => old.iter().map(|class| [1, 0, 2][*class]).collect(),
            // Weights of another version: answers that know nothing of the rows.
            2 => old.iter().map(|_| random.below(CLASSES)).collect(),
            // Quantised too far: 35 % of rows fall to the class whose score rounds up.
            _ => old
                .iter()
                .map(|class| if random.unit() < 0.35 { 0 } else { *class })
                .collect(),
        })
    });
    assert_eq!(tally.pass, 0, "{tally:?}");
    assert!(tally.fail >= 950, "{tally:?}");
}

#[test]
fn good_versions_pass() {
    // It changes its mind on 2 % of the rows, at random.
    let tally = tally(|seed| {
        version(seed, |random, old| {
            let again = |class: usize, random: &mut Random| {
                if random.unit() < 0.02 {
                    random.below(CLASSES)
                } else {
                    class
                }
            };
            old.into_iter().map(|class| again(class, random)).collect()
        })
    });
    assert!(tally.pass >= 800, "{tally:?}");
    assert!(tally.fail <= 50, "{tally:?}");
}

/// 5 % of 1,000, and three standard deviations of that count.
const AT_MOST: u32 = 50 + 21;

fn at_the_bound(metrics: &[MetricGate], old: f64, new: f64) -> Tally {
    tally(|seed| {
        let mut random = Random::new(seed ^ 0xb0);
        let truth = truths(&mut random, 2);
        let old = answers(&mut random, 2, &truth, old);
        let new = answers(&mut random, 2, &truth, new);
        let (candidate, baseline) = pair(2, truth, new, old);
        judge(&gate(metrics.to_vec(), seed), &candidate, Some(&baseline)).unwrap()
    })
}

#[test]
fn versions_at_a_bound_of_accuracy_rarely_pass_or_fail() {
    let accuracy = MetricGate {
        lower_bound: Some(0.85),
        ..metric(MetricName::Accuracy)
    };
    let tally = at_the_bound(&[accuracy], 0.85, 0.85);
    // The interval is exact: no allowance but for the luck of 1,000 draws.
    assert!(tally.pass <= AT_MOST && tally.fail <= AT_MOST, "{tally:?}");
}

#[test]
fn versions_at_a_bound_of_f1_rarely_pass_or_fail() {
    // Two classes, equally frequent, and errors that do not prefer one: F1 is accuracy.
    let f1 = MetricGate {
        average: Some(Average::Macro),
        lower_bound: Some(0.85),
        ..metric(MetricName::F1)
    };
    let tally = at_the_bound(&[f1], 0.85, 0.85);
    assert!(tally.pass <= AT_MOST && tally.fail <= AT_MOST, "{tally:?}");
}

#[test]
fn versions_worse_by_just_the_margin_rarely_pass_or_fail() {
    let accuracy = MetricGate {
        max_decrease: Some(0.05),
        ..metric(MetricName::Accuracy)
    };
    let tally = at_the_bound(&[accuracy], 0.9, 0.85);
    assert!(tally.pass <= AT_MOST && tally.fail <= AT_MOST, "{tally:?}");
}

#[test]
fn versions_at_several_bounds_pass_no_oftener_than_at_one() {
    let bounded = |name, average| MetricGate {
        average,
        lower_bound: Some(0.85),
        ..metric(name)
    };
    let metrics = [
        bounded(MetricName::Accuracy, None),
        bounded(MetricName::BalancedAccuracy, None),
        bounded(MetricName::F1, Some(Average::Macro)),
    ];
    let tally = at_the_bound(&metrics, 0.85, 0.85);
    assert!(tally.pass <= AT_MOST && tally.fail <= AT_MOST, "{tally:?}");
}
