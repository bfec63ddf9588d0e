use super::*;
use crate::ops::trees::forest::{Mode, Node};

fn votes(of: &[(usize, f64)]) -> Vec<Vote> {
    of.iter()
        .map(|(target, weight)| Vote {
            target: *target,
            weight: *weight,
        })
        .collect()
}

#[test]
fn two_classes_with_votes_for_the_first_alone_are_one_score() {
    let margin = Layout::OneScore { probability: false };
    let probability = Layout::OneScore { probability: true };
    assert_eq!(Layout::of(&votes(&[(0, 0.2), (0, -0.1)]), 2), Some(margin));
    assert_eq!(
        Layout::of(&votes(&[(0, 0.2), (0, 0.0)]), 2),
        Some(probability)
    );
    assert_eq!(
        Layout::of(&votes(&[(0, 0.2), (1, 0.1)]), 2),
        Some(Layout::Each)
    );
    assert_eq!(Layout::of(&votes(&[(0, 0.2)]), 3), Some(Layout::Each));
    assert_eq!(Layout::of(&votes(&[(1, 0.2)]), 2), None);
}

#[test]
fn the_label_is_on_the_side_of_the_score() {
    let margin = Layout::OneScore { probability: false };
    let probability = Layout::OneScore { probability: true };
    let table = [
        (margin, 0.1, 1),
        (margin, -0.1, 0),
        (margin, 0.0, 0),
        (probability, 0.6, 1),
        (probability, 0.4, 0),
        (probability, 0.5, 0),
    ];
    for (layout, score, expected) in table {
        let label = classify(&mut [score, 0.0], layout, Transform::None);
        assert_eq!(label, expected, "{layout:?} {score}");
    }
}

#[test]
fn the_first_of_equal_classes_wins() {
    let label = classify(&mut [0.1, 0.4, 0.4], Layout::Each, Transform::Softmax);
    assert_eq!(label, 1);
}

/// One split at 0.5: 1 for `yes`, 2 for `no`.
fn stump(mode: Mode, missing_is_yes: bool) -> Forest {
    let branch = Node::Branch {
        threshold: 0.5,
        feature: 0,
        yes: 1,
        no: 2,
        mode,
        missing_is_yes,
    };
    Forest {
        nodes: vec![
            branch,
            Node::Leaf { start: 0, end: 1 },
            Node::Leaf { start: 1, end: 2 },
        ],
        roots: vec![0],
        votes: votes(&[(0, 1.0), (0, 2.0)]),
        targets: 1,
        features: 1,
    }
}

#[test]
fn a_missing_value_goes_where_the_model_says() {
    for (missing_is_yes, expected) in [(true, 1.0), (false, 2.0)] {
        let mut values = [0.0];
        let forest = stump(Mode::AtMost, missing_is_yes);
        aggregate(&forest, &[f32::NAN], Aggregate::Sum, &[], &mut values);
        assert!((values[0] - expected).abs() < 1e-12);
    }
}
