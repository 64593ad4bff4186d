//! How many instructions may retire from a check to the next one: what must be left of the limit for
//! compiled code to go on there.

use crate::graph::{End, Graph, NodeId};

/// Where compiled code checks whether to go on (the limit, or the poll flag): where it is entered,
/// and at the end of each node with an edge back to a loop header, before its branch. At the
/// end, because registers that the loop only writes then need no place from one iteration to the
/// next.
pub struct Checks {
    /// For each node the most instructions from its start to the next check or exit.
    pub from_start: Vec<u64>,
    /// The same from the check at its end; none if it has no check.
    pub from_end: Vec<Option<u64>>,
}

/// Finds both.
pub fn analyze(graph: &Graph) -> Checks {
    let mut position = vec![0; graph.nodes.len()];
    for (at, &id) in graph.order.iter().enumerate() {
        position[id] = at;
    }
    let latch = |id: NodeId| {
        graph.nodes[id]
            .successors()
            .any(|next| position[next] <= position[id])
    };
    let mut from_start = vec![0; graph.nodes.len()];
    for &id in graph.order.iter().rev() {
        let node = &graph.nodes[id];
        let steps = node.steps.len() as u64;
        from_start[id] = if latch(id) {
            steps - unchecked(graph, id)
        } else {
            steps
                + node
                    .successors()
                    .map(|next| from_start[next])
                    .max()
                    .unwrap_or(0)
        };
    }
    let from_end = graph.nodes.iter().enumerate().map(|(id, node)| {
        let beyond = node
            .successors()
            .map(|next| from_start[next])
            .max()
            .unwrap_or(0);
        latch(id).then(|| unchecked(graph, id) + beyond)
    });
    let from_end = from_end.collect();
    Checks {
        from_start,
        from_end,
    }
}

/// How many of a node's steps come after its check.
fn unchecked(graph: &Graph, id: NodeId) -> u64 {
    u64::from(matches!(graph.nodes[id].end, End::Branch { .. }))
}
