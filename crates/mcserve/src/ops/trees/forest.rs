//! Trees as flat rows, and the votes of their leaves. Pure.

/// How a branch compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    AtMost,
    Below,
    AtLeast,
    Above,
    Equal,
    NotEqual,
}

/// One node of a tree.
#[derive(Clone, Copy, Debug)]
pub(super) enum Node {
    /// Goes to `yes` when `feature <mode> threshold`, or when it is missing and so says
    /// `missing_is_yes`.
    Branch {
        threshold: f64,
        feature: u32,
        yes: u32,
        no: u32,
        mode: Mode,
        missing_is_yes: bool,
    },
    /// Gives the votes from `start` up to `end`.
    Leaf { start: u32, end: u32 },
}

/// What a leaf adds to one class or target.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vote {
    pub(super) target: usize,
    pub(super) weight: f64,
}

/// Trees that vote together. Indices lie inside their lists and every walk from a root
/// ends: `parse` makes no other forest.
#[derive(Clone, Debug)]
pub(super) struct Forest {
    pub(super) nodes: Vec<Node>,
    pub(super) roots: Vec<u32>,
    pub(super) votes: Vec<Vote>,
    /// Classes or targets.
    pub(super) targets: usize,
    /// Columns that a row has at least.
    pub(super) features: usize,
}

impl Forest {
    /// The votes for a row, tree by tree.
    pub(super) fn votes<'a, T: Copy + Into<f64>>(
        &'a self,
        row: &'a [T],
    ) -> impl Iterator<Item = &'a Vote> {
        self.roots
            .iter()
            .flat_map(move |root| self.leaf(*root, row).iter())
    }

    fn leaf<T: Copy + Into<f64>>(&self, root: u32, row: &[T]) -> &[Vote] {
        let mut at = root;
        loop {
            match self.nodes[at as usize] {
                Node::Leaf { start, end } => return &self.votes[start as usize..end as usize],
                Node::Branch {
                    threshold,
                    feature,
                    yes,
                    no,
                    mode,
                    missing_is_yes,
                } => {
                    let value = row[feature as usize].into();
                    let holds = holds(mode, value, threshold) || (missing_is_yes && value.is_nan());
                    at = if holds { yes } else { no };
                }
            }
        }
    }
}

#[expect(
    clippy::float_cmp,
    reason = "the operator compares bits, as it was trained"
)]
fn holds(mode: Mode, value: f64, threshold: f64) -> bool {
    match mode {
        Mode::AtMost => value <= threshold,
        Mode::Below => value < threshold,
        Mode::AtLeast => value >= threshold,
        Mode::Above => value > threshold,
        Mode::Equal => value == threshold,
        Mode::NotEqual => value != threshold,
    }
}
