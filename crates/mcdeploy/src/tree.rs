//! Rollouts as text: a tree for terminals, one line per change elsewhere. Pure.

use mcdeploy_api::RolloutStepState;
use owo_colors::{OwoColorize, Style};

use crate::{output::bytes, rollout_verdict::Row};

/// What stands above the rows.
#[derive(Clone, Debug)]
pub(crate) struct Header<'a> {
    /// First line.
    pub(crate) title: &'a str,
    /// Version that the rollout brings.
    pub(crate) version: &'a str,
    /// Bytes of the version, when known.
    pub(crate) size_bytes: Option<i64>,
}

/// The tree, line by line: waves, and under each its clusters.
pub(crate) fn render(header: &Header<'_>, rows: &[Row], colors: bool) -> Vec<String> {
    let mut lines = vec![header.title.to_owned()];
    let widths = Widths::of(rows, header);
    let mut waves: Vec<Option<usize>> = rows.iter().map(|row| row.wave).collect();
    waves.dedup();
    for (index, wave) in waves.iter().enumerate() {
        let last_wave = index + 1 == waves.len();
        let name = match wave {
            Some(number) => format!("wave {number}"),
            None => "not touched by this rollout".to_owned(),
        };
        lines.push(format!("{} {name}", if last_wave { "└─" } else { "├─" }));
        let of_wave: Vec<&Row> = rows.iter().filter(|row| row.wave == *wave).collect();
        for (at, row) in of_wave.iter().enumerate() {
            let trunk = if last_wave { "   " } else { "│  " };
            let branch = if at + 1 == of_wave.len() {
                "└─"
            } else {
                "├─"
            };
            let text = line(row, header, &widths, colors);
            lines.push(format!("{trunk}{branch} {text}"));
        }
    }
    lines
}

/// One row as one line, for logs.
pub(crate) fn plain(row: &Row, header: &Header<'_>) -> String {
    let cells = cells(row, header);
    let state = row.state.map_or("-", state_word);
    let facts: Vec<String> = [cells.version, cells.ready, cells.weight, cells.artifact]
        .into_iter()
        .filter(|cell| !cell.is_empty())
        .collect();
    let facts = if facts.is_empty() {
        String::new()
    } else {
        format!(" [{}]", facts.join(", "))
    };
    format!("{}: {state}{facts}: {}", row.cluster, why(row))
}

/// What makes a new line of log necessary. Bytes are left out: they change all the time.
pub(crate) fn change_key(row: &Row) -> impl PartialEq + use<> {
    let status = row.status.as_ref().map(|status| {
        (
            status.version.clone(),
            status.ready_replicas,
            status.weight,
            status.reachable.clone(),
        )
    });
    (row.state, row.reason.clone(), status)
}

fn state_word(state: RolloutStepState) -> &'static str {
    match state {
        RolloutStepState::Waiting => "waiting",
        RolloutStepState::Running => "running",
        RolloutStepState::Done => "done",
        RolloutStepState::Blocked => "blocked",
        RolloutStepState::Unknown => "unknown",
    }
}

fn symbol(state: Option<RolloutStepState>) -> (&'static str, Style) {
    match state {
        Some(RolloutStepState::Waiting) => ("·", Style::new().dimmed()),
        Some(RolloutStepState::Running) => ("⟳", Style::new().cyan()),
        Some(RolloutStepState::Done) => ("✔", Style::new().green()),
        Some(RolloutStepState::Blocked) => ("✖", Style::new().red()),
        Some(RolloutStepState::Unknown) => ("?", Style::new().yellow()),
        None => ("-", Style::new().dimmed()),
    }
}

#[derive(Default)]
struct Cells {
    version: String,
    ready: String,
    weight: String,
    artifact: String,
}

fn cells(row: &Row, header: &Header<'_>) -> Cells {
    let Some(status) = &row.status else {
        return Cells::default();
    };
    let serving = status
        .version
        .clone()
        .unwrap_or_else(|| "nothing".to_owned());
    let version = match (&status.next_revision, &status.revision) {
        (Some(next), current) if current.as_ref() != Some(next) => {
            // The same version under another revision differs in its pods or its image.
            let to_version = row.wave.is_some() && serving != header.version;
            let next = if to_version { header.version } else { next };
            format!("{serving} → {next}")
        }
        _ => serving,
    };
    let artifact = match header.size_bytes {
        Some(size) if status.artifact_bytes >= size => format!("{} verified", bytes(size)),
        Some(size) => format!("{} of {}", bytes(status.artifact_bytes), bytes(size)),
        None => bytes(status.artifact_bytes),
    };
    Cells {
        version,
        ready: format!(
            "{}/{} ready",
            status.ready_replicas, status.desired_replicas
        ),
        weight: format!("weight {}", status.weight),
        // The artifact of this rollout says nothing about a cluster outside of it.
        artifact: if row.wave.is_some() {
            artifact
        } else {
            String::new()
        },
    }
}

struct Widths([usize; 5]);

impl Widths {
    fn of(rows: &[Row], header: &Header<'_>) -> Self {
        let mut widths = [0; 5];
        for row in rows {
            let cells = cells(row, header);
            let texts = [
                &row.cluster,
                &cells.version,
                &cells.ready,
                &cells.weight,
                &cells.artifact,
            ];
            for (width, text) in widths.iter_mut().zip(texts) {
                *width = (*width).max(text.chars().count());
            }
        }
        Self(widths)
    }
}

fn line(row: &Row, header: &Header<'_>, widths: &Widths, colors: bool) -> String {
    let (mark, style) = symbol(row.state);
    let mark = if colors {
        mark.style(style).to_string()
    } else {
        mark.to_owned()
    };
    let cells = cells(row, header);
    let texts = [
        row.cluster.clone(),
        cells.version,
        cells.ready,
        cells.weight,
        cells.artifact,
    ];
    let padded = texts.iter().zip(widths.0).filter(|(_, width)| *width > 0);
    let padded: Vec<String> = padded
        .map(|(text, width)| format!("{text:<width$}"))
        .collect();
    format!("{mark} {}  {}", padded.join("  "), why(row))
}

fn why(row: &Row) -> String {
    if row.message.is_empty() {
        row.reason.clone()
    } else {
        format!("{}: {}", row.reason, row.message)
    }
}

#[cfg(test)]
mod tests;
