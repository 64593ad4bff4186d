//! Where loops ask whether the engine wants something.
//!
//! Behind a checkpoint the state in memory is complete, so asking there takes a comparison and
//! nothing else: whoever is to leave is rolled back to where he is. Loops that make a checkpoint on
//! every way around ask at one; the others at their end, with an exit that stores what is newer
//! than memory.

use crate::analysis::windows::{Origin, Window};
use crate::graph::{Graph, NodeId};

/// Places for asking that are tried for each loop.
const MOST_TRIED: usize = 8;

/// Where compiled code asks.
pub struct Polls {
    /// For each node the step with the checkpoint behind which it does.
    at: Vec<Option<usize>>,
    /// Whether all loops that a node ends a round of ask somewhere on the way.
    covered: Vec<bool>,
}

impl Polls {
    /// At no checkpoint: all loops ask at their ends.
    pub fn at_ends(graph: &Graph) -> Polls {
        Polls {
            at: vec![None; graph.nodes.len()],
            covered: vec![false; graph.nodes.len()],
        }
    }

    /// Whether the checkpoint there is one.
    pub fn is_at(&self, at: Origin) -> bool {
        self.at[at.node] == Some(at.step)
    }

    /// Whether nothing need be asked at the end of a node that leads back.
    pub fn is_covered(&self, id: NodeId) -> bool {
        self.covered[id]
    }
}

/// Finds them, given the windows at the starts of nodes.
pub fn analyze(graph: &Graph, windows: &[Window]) -> Polls {
    let mut polls = Polls::at_ends(graph);
    let checkpoints: Vec<Option<usize>> = graph
        .nodes
        .iter()
        .enumerate()
        .map(|(id, _)| first_checkpoint(graph, id, windows[id]))
        .collect();
    let mut position = vec![0; graph.nodes.len()];
    for (at, &id) in graph.order.iter().enumerate() {
        position[id] = at;
    }
    let mut headers: Vec<NodeId> = graph.order.clone();
    headers.retain(|&id| graph.nodes[id].header && !graph.nodes[id].free);
    // Inner loops first: what they ask may do for the loops around them.
    headers.sort_by_key(|&id| graph.nodes[id].body.len());
    let mut covered = vec![false; graph.nodes.len()];
    // The smallest loop around each node.
    let mut innermost: Vec<Option<NodeId>> = vec![None; graph.nodes.len()];
    for &header in &headers {
        for &id in &graph.nodes[header].body {
            innermost[id].get_or_insert(header);
        }
    }
    for &header in &headers {
        covered[header] = is_covered(graph, header, &polls.at);
        if covered[header] {
            continue;
        }
        let mut places: Vec<NodeId> = graph.nodes[header].body.clone();
        places.retain(|&id| checkpoints[id].is_some() && polls.at[id].is_none());
        places.sort_by_key(|&id| (innermost[id] != Some(header), position[id]));
        for id in places.into_iter().take(MOST_TRIED) {
            polls.at[id] = checkpoints[id];
            covered[header] = is_covered(graph, header, &polls.at);
            if covered[header] {
                break;
            }
            polls.at[id] = None;
        }
    }
    polls.covered = (0..graph.nodes.len())
        .map(|id| {
            let nexts = graph.nodes[id].successors();
            let mut back = nexts.filter(|&next| position[next] <= position[id]);
            back.all(|header| covered[header])
        })
        .collect();
    polls
}

/// The first step of a node before which a checkpoint is made.
fn first_checkpoint(graph: &Graph, id: NodeId, mut window: Window) -> Option<usize> {
    let node = &graph.nodes[id];
    (0..node.steps.len()).find(|&step| window.step(Origin { node: id, step }, node))
}

/// Whether every way around a loop passes a node that asks.
fn is_covered(graph: &Graph, header: NodeId, at: &[Option<usize>]) -> bool {
    if at[header].is_some() {
        return true;
    }
    let body = &graph.nodes[header].body;
    let mut unseen = vec![false; graph.nodes.len()];
    for &id in body {
        unseen[id] = at[id].is_none();
    }
    // A way around through a hub comes in behind it: bodies of loops do not hold hubs.
    let behind_hub = |id: &NodeId| {
        let preds = &graph.nodes[*id].preds;
        *id == header || preds.iter().any(|&pred| graph.is_hub(pred))
    };
    let mut stack: Vec<NodeId> = body.iter().copied().filter(behind_hub).collect();
    stack.retain(|&id| std::mem::replace(&mut unseen[id], false));
    while let Some(id) = stack.pop() {
        for next in graph.nodes[id].successors() {
            if next == header {
                return false;
            }
            if std::mem::replace(&mut unseen[next], false) {
                stack.push(next);
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{End, Node, Target};

    #[test]
    fn a_loop_whose_way_around_leads_through_a_hub_is_not_covered_for_want_of_ways() {
        // 0 calls 1, which returns by the hub 2 to 3, which goes back to 0.
        let to = |id| End::Jump(Target::Node(id));
        let mut nodes = vec![
            Node::new(0x1000, to(1)),
            Node::new(0x2000, End::Computed(2)),
            Node::new(0x2000, End::Hub { stray: None }),
            Node::new(0x1004, to(0)),
        ];
        nodes[2].ways = vec![3];
        for (id, pred) in [(1, 0), (2, 1), (3, 2), (0, 3)] {
            nodes[id].preds.push(pred);
        }
        nodes[0].header = true;
        // Loops are not followed through hubs.
        nodes[0].body = vec![0, 3];
        let graph = Graph {
            nodes,
            entries: vec![(0x1000, 0)],
            order: vec![0, 1, 2, 3],
            strips: Vec::new(),
        };
        let polls = analyze(&graph, &[Window(None); 4]);
        assert!(!polls.is_covered(3), "nobody asks anywhere");
    }
}
