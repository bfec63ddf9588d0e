//! The attributes of a tree ensemble to a forest that is safe to walk.
//!
//! **Source:** <https://github.com/onnx/onnx/blob/main/docs/Operators-ml.md>, 2026-11-30.

use std::collections::{BTreeSet, HashMap};

#[cfg_attr(
    not(test),
    expect(
        clippy::wildcard_imports,
        reason = "tract's macros name what is in there"
    )
)]
use tract_onnx::tract_hir::internal::*;
use tract_onnx::{
    model::ParsingContext,
    pb::{NodeProto, TensorProto},
};

use super::forest::{Forest, Mode, Node, Vote};

/// Whose attributes the leaves have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Classes,
    Values,
}

impl Kind {
    fn prefix(self) -> &'static str {
        match self {
            Self::Classes => "class",
            Self::Values => "target",
        }
    }
}

/// Index of each node by tree and by number within the tree.
type Places = HashMap<(i64, i64), u32>;

/// The forest of a node with this many classes or targets.
pub(super) fn forest(
    ctx: &ParsingContext,
    node: &NodeProto,
    kind: Kind,
    targets: usize,
) -> TractResult<Forest> {
    let trees = longs(node, "nodes_treeids")?;
    let count = trees.len();
    let numbers = list(count, "nodes_nodeids", longs(node, "nodes_nodeids")?)?;
    let mut places = Places::with_capacity(count);
    for (index, (tree, number)) in trees.iter().zip(&numbers).enumerate() {
        if places
            .insert((*tree, *number), u32::try_from(index)?)
            .is_some()
        {
            bail!("tree {tree} has two nodes {number}");
        }
    }
    let mut forest = Forest {
        nodes: vec![Node::Leaf { start: 0, end: 0 }; count],
        roots: vec![],
        votes: vec![],
        targets,
        features: 0,
    };
    branches(ctx, node, &trees, &places, &mut forest)?;
    leaves(ctx, node, kind, &places, &mut forest)?;
    Ok(forest)
}

fn branches(
    ctx: &ParsingContext,
    node: &NodeProto,
    trees: &[i64],
    places: &Places,
    forest: &mut Forest,
) -> TractResult<()> {
    let count = trees.len();
    let features = list(count, "nodes_featureids", longs(node, "nodes_featureids")?)?;
    let yes = list(
        count,
        "nodes_truenodeids",
        longs(node, "nodes_truenodeids")?,
    )?;
    let no = list(
        count,
        "nodes_falsenodeids",
        longs(node, "nodes_falsenodeids")?,
    )?;
    let modes = list(
        count,
        "nodes_modes",
        node.get_attr_vec::<String>("nodes_modes")?,
    )?;
    let values = list(count, "nodes_values", numbers(ctx, node, "nodes_values")?)?;
    let missing = match longs(node, "nodes_missing_value_tracks_true")? {
        absent if absent.is_empty() => vec![0; count],
        some => list(count, "nodes_missing_value_tracks_true", some)?,
    };
    let mut parents = vec![0_usize; count];
    for index in 0..count {
        let Some(mode) = mode(&modes[index])? else {
            continue;
        };
        let mut child = |number: i64| {
            let found = places.get(&(trees[index], number));
            let found =
                *found.with_context(|| format!("tree {} has no node {number}", trees[index]))?;
            parents[found as usize] += 1;
            TractResult::Ok(found)
        };
        let feature = u32::try_from(features[index]).context("a feature has a negative number")?;
        forest.features = forest.features.max(feature as usize + 1);
        forest.nodes[index] = Node::Branch {
            threshold: values[index],
            feature,
            yes: child(yes[index])?,
            no: child(no[index])?,
            mode,
            missing_is_yes: missing[index] != 0,
        };
    }
    forest.roots = roots(trees, &parents)?;
    if reachable(forest) != count {
        bail!("nodes of a tree form a ring");
    }
    Ok(())
}

/// The nodes without a parent: one for each tree. With one parent for all others, whatever
/// is walked from a root is a tree and ends.
fn roots(trees: &[i64], parents: &[usize]) -> TractResult<Vec<u32>> {
    if parents.iter().any(|parents| *parents > 1) {
        bail!("a node of a tree has two parents");
    }
    let roots = parents.iter().enumerate().filter(|(_, found)| **found == 0);
    let roots: Vec<usize> = roots.map(|(index, _)| index).collect();
    let of_roots: BTreeSet<i64> = roots.iter().map(|root| trees[*root]).collect();
    let all: BTreeSet<i64> = trees.iter().copied().collect();
    if roots.is_empty() || of_roots != all || roots.len() != all.len() {
        bail!("a tree has no root, or several");
    }
    Ok(roots
        .into_iter()
        .map(u32::try_from)
        .collect::<Result<_, _>>()?)
}

fn reachable(forest: &Forest) -> usize {
    let mut ahead = forest.roots.clone();
    let mut seen = 0;
    while let Some(at) = ahead.pop() {
        seen += 1;
        if let Node::Branch { yes, no, .. } = forest.nodes[at as usize] {
            ahead.extend([yes, no]);
        }
    }
    seen
}

fn leaves(
    ctx: &ParsingContext,
    node: &NodeProto,
    kind: Kind,
    places: &Places,
    forest: &mut Forest,
) -> TractResult<()> {
    let named = |what: &str| format!("{}_{what}", kind.prefix());
    let trees = longs(node, &named("treeids"))?;
    let count = trees.len();
    let leaves = list(count, &named("nodeids"), longs(node, &named("nodeids"))?)?;
    let targets = list(count, &named("ids"), longs(node, &named("ids"))?)?;
    let weights = list(
        count,
        &named("weights"),
        numbers(ctx, node, &named("weights"))?,
    )?;
    let mut votes = Vec::with_capacity(count);
    for index in 0..count {
        let place = places.get(&(trees[index], leaves[index]));
        let place = *place.context("a vote is of a leaf that no tree has")?;
        let target = usize::try_from(targets[index]).unwrap_or(usize::MAX);
        if target >= forest.targets {
            bail!("a vote is for number {target} of {}", forest.targets);
        }
        let weight = weights[index];
        votes.push((place, Vote { target, weight }));
    }
    votes.sort_by_key(|(place, _)| *place);
    for (index, entry) in forest.nodes.iter_mut().enumerate() {
        let start = votes.partition_point(|(place, _)| (*place as usize) < index);
        let end = votes.partition_point(|(place, _)| (*place as usize) <= index);
        match entry {
            Node::Leaf {
                start: from,
                end: to,
            } => {
                *from = u32::try_from(start)?;
                *to = u32::try_from(end)?;
            }
            Node::Branch { .. } if start < end => bail!("a vote is of a node that is no leaf"),
            Node::Branch { .. } => {}
        }
    }
    forest.votes = votes.into_iter().map(|(_, vote)| vote).collect();
    Ok(())
}

/// `None` for a leaf.
fn mode(word: &str) -> TractResult<Option<Mode>> {
    Ok(Some(match word {
        "LEAF" => return Ok(None),
        "BRANCH_LEQ" => Mode::AtMost,
        "BRANCH_LT" => Mode::Below,
        "BRANCH_GTE" => Mode::AtLeast,
        "BRANCH_GT" => Mode::Above,
        "BRANCH_EQ" => Mode::Equal,
        "BRANCH_NEQ" => Mode::NotEqual,
        other => bail!("node mode {other:?} is not served"),
    }))
}

fn longs(node: &NodeProto, name: &str) -> TractResult<Vec<i64>> {
    Ok(node.get_attr_opt_vec(name)?.unwrap_or_default())
}

/// A list of floats, or of doubles beside it as a tensor.
pub(super) fn numbers(ctx: &ParsingContext, node: &NodeProto, name: &str) -> TractResult<Vec<f64>> {
    if let Some(tensor) = node.get_attr_opt::<&TensorProto>(&format!("{name}_as_tensor"))? {
        let tensor = ctx.load_tensor(tensor)?;
        let tensor = tensor.cast_to::<f64>()?;
        return Ok(tensor
            .to_plain_array_view::<f64>()?
            .iter()
            .copied()
            .collect());
    }
    let floats: Vec<f32> = node.get_attr_opt_vec(name)?.unwrap_or_default();
    Ok(floats.into_iter().map(f64::from).collect())
}

fn list<T>(count: usize, name: &str, values: Vec<T>) -> TractResult<Vec<T>> {
    if values.len() != count {
        bail!(
            "{name} has {} values; {count} belong together",
            values.len()
        );
    }
    Ok(values)
}
