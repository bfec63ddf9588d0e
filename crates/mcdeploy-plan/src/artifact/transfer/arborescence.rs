//! The cheapest tree that leads from a root to every vertex (Chu-Liu, Edmonds).
//!
//! Equal costs are settled by the order of the edges, so that equal input gives equal
//! output.

use std::ops::{Add, Sub};

/// A directed edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge<C> {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) cost: C,
}

/// Index of the edge by which each vertex is entered, in order of vertices; none for the
/// root. `None` when a vertex cannot be reached.
pub(super) fn arborescence<C>(
    vertices: usize,
    root: usize,
    edges: &[Edge<C>],
) -> Option<Vec<Option<usize>>>
where
    C: Copy + Ord + Add<Output = C> + Sub<Output = C>,
{
    let best = cheapest_entries(vertices, root, edges)?;
    let (parts, cyclic) = contract(vertices, edges, &best);
    if cyclic.iter().all(|is_cycle| !is_cycle) {
        return Some(best);
    }
    // An edge into a cycle replaces the cycle's own edge to the same vertex.
    let mut outer = vec![];
    let mut origin = vec![];
    for (index, edge) in edges.iter().enumerate() {
        let (from, to) = (parts[edge.from], parts[edge.to]);
        if from == to {
            continue;
        }
        let saved = best[edge.to].filter(|_| cyclic[to]);
        let cost = saved.map_or(edge.cost, |saved| edge.cost - edges[saved].cost);
        outer.push(Edge { from, to, cost });
        origin.push(index);
    }
    let entries = arborescence(cyclic.len(), parts[root], &outer)?;
    let mut chosen = best;
    for index in entries.into_iter().flatten() {
        let edge = origin[index];
        chosen[edges[edge].to] = Some(edge);
    }
    Some(chosen)
}

fn cheapest_entries<C: Copy + Ord>(
    vertices: usize,
    root: usize,
    edges: &[Edge<C>],
) -> Option<Vec<Option<usize>>> {
    let mut best: Vec<Option<usize>> = vec![None; vertices];
    for (index, edge) in edges.iter().enumerate() {
        if edge.to == root || edge.from == edge.to {
            continue;
        }
        let entry = &mut best[edge.to];
        if entry.is_none_or(|held| edge.cost < edges[held].cost) {
            *entry = Some(index);
        }
    }
    let missing = (0..vertices).any(|vertex| vertex != root && best[vertex].is_none());
    (!missing).then_some(best)
}

/// The contracted vertex of each vertex, and which contracted ones were cycles.
fn contract<C>(
    vertices: usize,
    edges: &[Edge<C>],
    best: &[Option<usize>],
) -> (Vec<usize>, Vec<bool>) {
    const NEW: usize = usize::MAX;
    let mut parts = vec![NEW; vertices];
    let mut walked_by = vec![NEW; vertices];
    let mut cyclic = vec![];
    for start in 0..vertices {
        let mut at = start;
        while walked_by[at] == NEW {
            walked_by[at] = start;
            let Some(edge) = best[at] else { break };
            at = edges[edge].from;
        }
        // Back on this walk's own track: from here on it is a cycle.
        if walked_by[at] == start && parts[at] == NEW && best[at].is_some() {
            let mut member = at;
            while parts[member] == NEW {
                parts[member] = cyclic.len();
                let Some(edge) = best[member] else { break };
                member = edges[edge].from;
            }
            cyclic.push(true);
        }
    }
    for part in &mut parts {
        if *part == NEW {
            *part = cyclic.len();
            cyclic.push(false);
        }
    }
    (parts, cyclic)
}
