//! Which metrics to gate on, and why, from labels and answers: a template to edit.

use std::fmt::Write as _;

use mcdeploy_eval::{
    Answers, Confidence, Described, MetricGate, MetricName, ScoreKind, Scores, Truth,
    counts::Average, describe,
};

use crate::{
    error::EvaluateError,
    evaluation::Judged,
    rows::Rows,
    template::{Columns, TaskKind},
};

/// A class with a smaller share of the rows than this part of an even one is rare.
const RARE: f64 = 0.4;

/// A metric worth a bound.
struct Proposal {
    metric: MetricGate,
    why: String,
}

/// How many rows are of each class, most first.
struct Shares {
    classes: Vec<(String, usize)>,
    rows: usize,
}

/// The template, with the reasons as comments. `files` are the labels' as the template will
/// name them.
///
/// # Errors
/// [`EvaluateError::Judge`] where there is nothing to measure.
pub fn suggest(rows: &Rows, judged: &Judged, files: &[String]) -> Result<String, EvaluateError> {
    let answers = judged.candidate.answers();
    let shares = shares(rows);
    let proposals = proposals(rows, answers, &shares);
    let metrics: Vec<MetricGate> = proposals.iter().map(|one| one.metric.clone()).collect();
    let measured = describe(&metrics, &[], Confidence::default(), &judged.place());
    let measured = measured.map_err(|source| EvaluateError::Judge {
        place: "the suggestion".to_owned(),
        source,
    })?;
    let mut text = head(rows, &shares, files);
    for (proposal, described) in proposals.iter().zip(&measured) {
        let _never = writeln!(text, "    # {}", proposal.why);
        let _never = writeln!(text, "    {}", line(&proposal.metric, described));
    }
    text.push_str(&tail(rows));
    Ok(text)
}

fn shares(rows: &Rows) -> Shares {
    let labels = rows.labels();
    let count = |label: usize| match &rows.truth {
        Truth::Classes(_, all) => all.iter().filter(|class| **class == label).count(),
        Truth::Multilabel(_, all) => all.iter().filter(|row| row[label]).count(),
        Truth::Numbers(_) => 0,
    };
    let counted = labels.iter().enumerate();
    let mut classes: Vec<(String, usize)> = counted
        .map(|(index, label)| (label.clone(), count(index)))
        .collect();
    classes.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Shares {
        classes,
        rows: rows.truth.rows(),
    }
}

impl Shares {
    /// The rarest class that occurs much less often than an even share, and its percentage.
    fn rare(&self) -> Option<(&str, f64)> {
        let (class, count) = self.classes.last()?;
        let share = percent(*count, self.rows);
        let even = percent(1, self.classes.len());
        (share < RARE * even).then_some((class.as_str(), share))
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "files have fewer than 2^53 rows"
)]
fn percent(part: usize, all: usize) -> f64 {
    100.0 * part as f64 / all.max(1) as f64
}

fn proposals(rows: &Rows, answers: &Answers, shares: &Shares) -> Vec<Proposal> {
    let propose = |metric, why: String| Proposal { metric, why };
    let plain = MetricGate::new;
    let averaged = |name, average| MetricGate {
        average: Some(average),
        ..plain(name)
    };
    let scores = match answers {
        Answers::Classes(_, scores) | Answers::Multilabel(_, scores) => scores.as_ref(),
        Answers::Numbers(_) => None,
    };
    let mut all = match rows.task {
        TaskKind::Regression => vec![
            propose(plain(MetricName::Mae), "How far off an answer is on average, in the unit of the label.".to_owned()),
            propose(plain(MetricName::Rmse), "The same, but a few large errors count more than many small ones.".to_owned()),
        ],
        TaskKind::Multilabel => vec![propose(
            averaged(MetricName::F1, Average::Macro),
            "Found and rightly found in one, every label alike: a rare label counts as much as a common one.".to_owned(),
        )],
        TaskKind::Binary => binary(rows, scores, shares),
        TaskKind::Multiclass => multiclass(answers, rows, shares),
    };
    let probabilities = scores.is_some_and(|scores| scores.kind == ScoreKind::Probability);
    if probabilities && matches!(rows.truth, Truth::Classes(..)) {
        let told = MetricGate {
            critical: false,
            ..plain(MetricName::LogLoss)
        };
        all.push(propose(told, "Matters where somebody uses the probabilities and not only the class; take `critical: false` away then.".to_owned()));
    }
    all
}

fn binary(rows: &Rows, scores: Option<&Scores>, shares: &Shares) -> Vec<Proposal> {
    let of = |name, class: &str| MetricGate {
        class: Some(class.to_owned()),
        ..MetricGate::new(name)
    };
    let positive = rows.labels().last().map_or("", String::as_str);
    let (class, first) = match shares.rare() {
        Some((rare, share)) => (
            rare,
            Proposal {
                metric: of(MetricName::Recall, rare),
                why: format!(
                    "Only {share:.1} % of the rows are {rare:?}: never answering {rare:?} would be {:.1} % accurate. So: how many of them are found.",
                    100.0 - share
                ),
            },
        ),
        None => (
            positive,
            Proposal {
                metric: MetricGate::new(MetricName::Accuracy),
                why: "Both classes are common, so the share of right answers says something."
                    .to_owned(),
            },
        ),
    };
    let mut all = vec![first];
    if shares.rare().is_none() {
        all.push(Proposal {
            metric: of(MetricName::Recall, class),
            why: format!("Raise this where a missed {class:?} costs more than a false alarm."),
        });
    }
    all.push(Proposal {
        metric: of(MetricName::Precision, class),
        why: format!("Raise this where a false alarm costs more than a missed {class:?}."),
    });
    if scores.is_some() {
        let (name, why) = if shares.rare().is_some() {
            (
                MetricName::AveragePrecision,
                "The order of the scores, whatever the threshold; for a rare class better than rocAuc, which easy rows lift.",
            )
        } else {
            (
                MetricName::RocAuc,
                "The order of the scores, whatever the threshold: for ranking, and when the threshold is chosen later.",
            )
        };
        all.push(Proposal {
            metric: of(name, class),
            why: why.to_owned(),
        });
    }
    all
}

fn multiclass(answers: &Answers, rows: &Rows, shares: &Shares) -> Vec<Proposal> {
    let balanced = MetricGate {
        average: Some(Average::Macro),
        ..MetricGate::new(MetricName::F1)
    };
    let first = match shares.rare() {
        Some((rare, share)) => Proposal {
            metric: balanced,
            why: format!(
                "Classes are uneven ({rare:?} has {share:.1} % of the rows): every class counts alike here, and accuracy would hide the rare ones."
            ),
        },
        None => Proposal {
            metric: MetricGate::new(MetricName::Accuracy),
            why: "Classes are about equally common, so the share of right answers says something."
                .to_owned(),
        },
    };
    let mut all = vec![first];
    if let Some((worst, found, of)) = worst(answers, rows) {
        all.push(Proposal {
            metric: MetricGate {
                class: Some(worst.clone()),
                ..MetricGate::new(MetricName::Recall)
            },
            why: format!("The class that is found least ({found} of {of}): a mean over classes can stay good while it gets worse."),
        });
    }
    all
}

/// The class with the lowest recall, with rows found and rows.
fn worst(answers: &Answers, rows: &Rows) -> Option<(String, usize, usize)> {
    let (Truth::Classes(labels, truth), Answers::Classes(said, _)) = (&rows.truth, answers) else {
        return None;
    };
    let of = |class: usize| {
        let own = truth.iter().zip(said).filter(move |(of, _)| **of == class);
        let found = own.clone().filter(|(of, said)| of == said).count();
        (labels.names()[class].clone(), found, own.count())
    };
    let classes = (0..labels.names().len())
        .map(of)
        .filter(|(.., all)| *all > 0);
    classes.min_by(|one, two| percent(one.1, one.2).total_cmp(&percent(two.1, two.2)))
}

fn head(rows: &Rows, shares: &Shares, files: &[String]) -> String {
    let mut text = format!(
        "# Suggested by `mcdeploy evaluate suggest` from {} rows.",
        shares.rows
    );
    text.push_str("\n# Bounds are what this version surely reaches: set them to what you need.\n");
    let counts = shares.classes.iter().take(10);
    let counts = counts.map(|(class, count)| format!("{} {count}", quoted(class)));
    let counts: Vec<String> = counts.collect();
    if !counts.is_empty() {
        let _never = writeln!(text, "# Rows by label: {}.", counts.join(", "));
    }
    let files: Vec<String> = files.iter().map(|file| quoted(file)).collect();
    let _never = write!(
        text,
        "apiVersion: mcdeploy.dev/v1alpha1\nkind: EvaluationTemplate\nspec:\n  task: {}\n  dataset:\n    files: [{}]\n",
        rows.task,
        files.join(", ")
    );
    if !rows.labels().is_empty() {
        let labels: Vec<String> = rows.labels().iter().map(|label| quoted(label)).collect();
        let _never = writeln!(text, "    labels: [{}]", labels.join(", "));
    }
    if rows.plan.columns != Columns::default() {
        let columns = serde_json::to_string(&rows.plan.columns).unwrap_or_default();
        let _never = writeln!(text, "    columns: {columns}");
    }
    text.push_str("  metrics:\n");
    text
}

fn tail(rows: &Rows) -> String {
    let mut text = String::new();
    if let [_, positive] = rows.labels()
        && rows.task == TaskKind::Binary
    {
        let positive = quoted(positive);
        let _never = write!(
            text,
            "    # Or what errors cost, by truth and then by answer, in the order of labels; here a missed\n    # {positive} costs 10 and a false alarm 1:\n    # - {{name: cost, costs: [[0, 1], [10, 0]], upperBound: 0.5}}\n"
        );
    }
    text.push_str("    # With --baseline: - {name: accuracy, maxDecrease: 0.01} for not much worse than the incumbent.\n");
    if rows.task == TaskKind::Regression {
        text = text.replace(
            "name: accuracy, maxDecrease: 0.01",
            "name: mae, maxDecrease: 0.01",
        );
    }
    text
}

fn line(metric: &MetricGate, described: &Described) -> String {
    let mut fields = vec![format!("name: {}", metric.name)];
    fields.extend(
        metric
            .average
            .map(|average| format!("average: {average:?}")),
    );
    fields.extend(
        metric
            .class
            .as_ref()
            .map(|class| format!("class: {}", quoted(class))),
    );
    let (low, high) = described.interval;
    if metric.name.more_is_better() {
        fields.push(format!(
            "lowerBound: {}",
            low.map_or(0.0, |low| down(described, low))
        ));
    } else {
        let high = high.or(described.value).unwrap_or(1.0);
        fields.push(format!(
            "upperBound: {}",
            -down_to(-high - (high.abs() * 0.1))
        ));
    }
    if !metric.critical {
        fields.push("critical: false".to_owned());
    }
    format!("- {{{}}}", fields.join(", "))
}

/// Further from the value than its interval, which is wider when bounds are judged together.
fn down(described: &Described, low: f64) -> f64 {
    let half = described.value.map_or(0.0, |value| value - low);
    down_to((low - 0.5 * half).max(0.0))
}

/// Two digits after the point.
fn down_to(value: f64) -> f64 {
    (value * 100.0).floor() / 100.0
}

/// A JSON text is a YAML text.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
