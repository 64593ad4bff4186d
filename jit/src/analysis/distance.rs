//! How many instructions may retire from a checked place to the next one: what must be left of the
//! limit for compiled code to go on there.

use crate::graph::Graph;

/// For each node the most instructions from its start to the next loop header, entry or exit. Entries
/// and loop headers check, so that no path between two checks is longer than this.
pub fn longest(graph: &Graph) -> Vec<u64> {
    let mut longest = vec![0; graph.nodes.len()];
    for &id in graph.order.iter().rev() {
        let node = &graph.nodes[id];
        let beyond = node
            .successors()
            .filter(|&next| !checked(graph, next))
            .map(|next| longest[next])
            .max()
            .unwrap_or(0);
        longest[id] = node.steps.len() as u64 + beyond;
    }
    longest
}

/// Whether a node begins with a check.
pub fn checked(graph: &Graph, id: usize) -> bool {
    graph.nodes[id].entry || graph.nodes[id].header
}
