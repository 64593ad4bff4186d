//! Where computed jumps, calls by a register and returns come to in a graph: hubs, each of which knows
//! the nodes that they may lead to.

use crate::graph::{End, Graph, Node, NodeId};
use crate::strays::Stray;
use frontend::{Flow, Region};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// More places than this a hub does not lead to.
const MOST_WAYS: usize = 1000;
/// As long as there are no more ways than this out of all of them, each computed jump has a hub.
const MOST_COPIES: usize = 128;
/// Up to this many places to return to each return tells apart for itself.
const FEW_RETURNS: usize = 8;
/// A call by a register stays in the region for this many functions at most.
const MOST_CALLEES: usize = 32;

impl Graph {
    /// Leads computed jumps to those entries that computed jumps are known to lead to: all of them by
    /// one hub, or, if there are few, each by its own, which the host's processor predicts
    /// better.
    pub(crate) fn add_hubs(&mut self, region: &Region) {
        let ways = self.entries.iter();
        let ways = ways.filter(|(pc, _)| region.targets.binary_search(pc).is_ok());
        let ways: Vec<NodeId> = ways.map(|&(_, id)| id).take(MOST_WAYS).collect();
        let blocks = region.blocks.iter().enumerate();
        let jumps = blocks.filter(|(_, block)| block.flow == Flow::Indirect);
        let jumps: Vec<NodeId> = jumps.map(|(id, _)| id).collect();
        if ways.is_empty() {
            return;
        }
        let own = jumps.len() * ways.len() <= MOST_COPIES;
        for (index, &jump) in jumps.iter().enumerate() {
            if own || index == 0 {
                self.add_hub(jump, ways.clone(), Some(Stray::Jump));
            }
            self.nodes[jump].end = End::Computed(self.nodes.len() - 1);
        }
    }

    /// Adds the hub of a jump, or of several of which this is one.
    fn add_hub(&mut self, jump: NodeId, ways: Vec<NodeId>, stray: Option<Stray>) -> NodeId {
        self.nodes.push(Node {
            ways,
            // It has none: where it leads is known when it runs.
            ..Node::new(self.nodes[jump].start, End::Hub { stray })
        });
        self.nodes.len() - 1
    }

    /// Leads calls by a register to the functions in the region that they are known to call.
    pub(crate) fn add_indirect_calls(&mut self, region: &Region, ids: &HashMap<u64, NodeId>) {
        for (call, callees) in &region.callees {
            let calls = region.blocks.iter();
            let mut calls = calls.filter(|block| block.last() == Some(*call));
            let ways = callees.iter().filter_map(|pc| ids.get(pc).copied());
            let ways: Vec<NodeId> = ways.take(MOST_CALLEES).collect();
            if let Some(block) = calls.next()
                && let Some(&node) = ids.get(&block.start)
                && !ways.is_empty()
            {
                let hub = self.add_hub(node, ways, Some(Stray::IndirectCall));
                self.nodes[hub].start = *call;
                self.nodes[node].end = End::Computed(hub);
            }
        }
    }

    /// Leads returns from functions that the region calls to where it calls them from. Many places
    /// have one hub for all returns to them, few have one for each.
    pub(crate) fn add_returns(&mut self, region: &Region, ids: &HashMap<u64, NodeId>) {
        let id = |pc: u64| ids.get(&pc).copied();
        let mut callers = BTreeMap::<NodeId, Vec<NodeId>>::new();
        for block in &region.blocks {
            let Some(behind) = id(block.end) else {
                continue;
            };
            match (block.flow, id(block.start).map(|id| self.nodes[id].end)) {
                (Flow::Call(callee), _) => {
                    if let Some(callee) = id(callee) {
                        callers.entry(callee).or_default().push(behind);
                    }
                }
                (Flow::IndirectCall, Some(End::Computed(hub))) => {
                    for &callee in &self.nodes[hub].ways {
                        callers.entry(callee).or_default().push(behind);
                    }
                }
                _ => {}
            }
        }
        let mut ways = BTreeMap::<NodeId, Vec<NodeId>>::new();
        for (callee, behind) in callers {
            for node in self.function(region, ids, callee) {
                if region.blocks[node].flow == Flow::Return {
                    ways.entry(node).or_default().extend(&behind);
                }
            }
        }
        let mut hubs = HashMap::<Vec<NodeId>, NodeId>::new();
        for (node, mut ways) in ways {
            ways.sort_unstable();
            ways.dedup();
            ways.truncate(MOST_WAYS);
            let hub = match hubs.get(&ways) {
                Some(&hub) if ways.len() > FEW_RETURNS => hub,
                _ => self.add_hub(node, ways.clone(), None),
            };
            hubs.insert(ways, hub);
            self.nodes[node].end = End::Computed(hub);
        }
    }

    /// The blocks of the function that begins at one, as far as they are in the region; those of
    /// functions that it jumps to as its last act, too.
    fn function(
        &self,
        region: &Region,
        ids: &HashMap<u64, NodeId>,
        first: NodeId,
    ) -> BTreeSet<NodeId> {
        let mut function = BTreeSet::from([first]);
        let mut found = vec![first];
        while let Some(node) = found.pop() {
            let next = region.blocks[node].successors();
            let next = next.filter_map(|pc| ids.get(&pc).copied());
            let jumps: &[NodeId] = match (region.blocks[node].flow, self.nodes[node].end) {
                (Flow::Indirect, End::Computed(hub)) => &self.nodes[hub].ways,
                _ => &[],
            };
            for next in next.chain(jumps.iter().copied()) {
                if function.insert(next) {
                    found.push(next);
                }
            }
        }
        function
    }
}
