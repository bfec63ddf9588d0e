//! One chart in a unit square, as SVG that takes its colours from the page.

use std::fmt::Write as _;

use crate::junit::escape;

/// Points from 0 to 1.
pub(super) type Line = Vec<(f64, f64)>;

/// A chart of one class.
pub(super) struct Chart<'a> {
    /// Says what is seen, for those who do not see it.
    pub(super) title: String,
    pub(super) across: &'a str,
    pub(super) up: &'a str,
    pub(super) new: Line,
    pub(super) old: Option<Line>,
    /// A model that knows nothing, or one that is perfectly calibrated.
    pub(super) diagonal: bool,
}

const SIZE: f64 = 180.0;
const LEFT: f64 = 40.0;
const TOP: f64 = 10.0;
/// More points than pixels are of no use.
const MOST_POINTS: usize = 150;

impl Chart<'_> {
    pub(super) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg viewBox=\"0 0 235 240\" role=\"img\" aria-label=\"{}\">",
            escape(&self.title)
        );
        let bottom = TOP + SIZE;
        let _never = write!(
            svg,
            "<rect class=\"axis\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{SIZE}\" height=\"{SIZE}\"/>"
        );
        for (share, text) in [(0.0, "0"), (0.5, "0.5"), (1.0, "1")] {
            let (x, y) = place((share, share));
            let _never = write!(
                svg,
                "<text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\">{text}</text><text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{text}</text>",
                bottom + 15.0,
                LEFT - 5.0,
                y + 4.0
            );
        }
        let (middle, side) = (LEFT + SIZE / 2.0, TOP + SIZE / 2.0);
        let _never = write!(
            svg,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text><text transform=\"translate(12 {side}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            bottom + 32.0,
            escape(self.across),
            escape(self.up)
        );
        if self.diagonal {
            svg.push_str(&polyline("chance", &[(0.0, 0.0), (1.0, 1.0)]));
        }
        svg.extend(self.old.iter().map(|line| polyline("old", line)));
        svg.push_str(&polyline("new", &self.new));
        svg.push_str("</svg>");
        svg
    }
}

fn place((x, y): (f64, f64)) -> (f64, f64) {
    (LEFT + x * SIZE, TOP + (1.0 - y) * SIZE)
}

fn polyline(class: &str, line: &[(f64, f64)]) -> String {
    let step = line.len().div_ceil(MOST_POINTS).max(1);
    let last = line.len().saturating_sub(1);
    let kept = line
        .iter()
        .enumerate()
        .filter(|(index, _)| index % step == 0 || *index == last);
    let points = kept.map(|(_, point)| {
        let (x, y) = place(*point);
        format!("{x:.1},{y:.1}")
    });
    let points: Vec<String> = points.collect();
    format!(
        "<polyline class=\"{class}\" points=\"{}\"/>",
        points.join(" ")
    )
}
