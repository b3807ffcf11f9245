//! The order that nodes have by what they need: cycles, and waves of nodes that can go on side by side.
//!
//! Not for: running them.

use petgraph::graph::{DiGraph, NodeIndex};
use std::collections::{HashMap, HashSet, VecDeque};

/// The edges `(needed, dependent)` of nodes numbered from 0.
#[derive(Debug)]
pub struct Order {
    graph: DiGraph<(), (), u32>,
}

impl Order {
    /// The order of so many nodes; edges name nodes below that.
    #[must_use]
    pub fn new(nodes: usize, edges: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut graph = DiGraph::with_capacity(nodes, 0);
        for _ in 0..nodes {
            graph.add_node(());
        }
        for (needed, dependent) in edges {
            graph.add_edge(NodeIndex::new(needed as usize), NodeIndex::new(dependent as usize), ());
        }
        Self { graph }
    }

    /// One cycle of each knot of nodes that need one another, as short as can be, beginning with its first node.
    #[must_use]
    pub fn cycles(&self) -> Vec<Vec<u32>> {
        // Not Tarjan's, which recurses as deep as the longest chain.
        let knots = petgraph::algo::kosaraju_scc(&self.graph);
        let mut cycles: Vec<Vec<u32>> = knots.iter().filter_map(|knot| self.cycle(knot)).collect();
        cycles.sort();
        cycles
    }

    /// The shortest way from the first node of a knot back to it.
    fn cycle(&self, knot: &[NodeIndex<u32>]) -> Option<Vec<u32>> {
        let start = *knot.iter().min()?;
        let members: HashSet<NodeIndex<u32>> = knot.iter().copied().collect();
        let mut came: HashMap<NodeIndex<u32>, NodeIndex<u32>> = HashMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(at) = next.pop_front() {
            let mut after: Vec<_> = self.graph.neighbors(at).collect();
            after.sort();
            for to in after {
                if to == start {
                    let mut way = vec![at];
                    while let Some(before) = way.last().filter(|at| **at != start).and_then(|at| came.get(at))
                    {
                        way.push(*before);
                    }
                    way.reverse();
                    return Some(way.iter().map(|node| number(*node)).collect());
                }
                if members.contains(&to) && !came.contains_key(&to) {
                    came.insert(to, at);
                    next.push_back(to);
                }
            }
        }
        None
    }

    /// Which nodes can go on side by side: the first wave needs nothing, each other one only what stands before it.
    /// `None` where there is a cycle.
    #[must_use]
    pub fn waves(&self) -> Option<Vec<Vec<u32>>> {
        let sorted = petgraph::algo::toposort(&self.graph, None).ok()?;
        let mut depth = vec![0_usize; self.graph.node_count()];
        let mut waves: Vec<Vec<u32>> = Vec::new();
        for node in sorted {
            let own = depth[node.index()];
            if waves.len() <= own {
                waves.resize_with(own + 1, Vec::new);
            }
            waves[own].push(number(node));
            for after in self.graph.neighbors(node) {
                depth[after.index()] = depth[after.index()].max(own + 1);
            }
        }
        for wave in &mut waves {
            wave.sort_unstable();
        }
        Some(waves)
    }

    /// Whether `node` needs `other`, by whatever is between.
    #[must_use]
    pub fn needs(&self, node: u32, other: u32) -> bool {
        let (from, to) = (NodeIndex::new(other as usize), NodeIndex::new(node as usize));
        from != to && petgraph::algo::has_path_connecting(&self.graph, from, to, None)
    }
}

fn number(node: NodeIndex<u32>) -> u32 {
    u32::try_from(node.index()).expect("nodes are numbered by u32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_as_short_as_can_be_and_begins_with_its_first_node() {
        let order = Order::new(5, [(0, 1), (1, 2), (2, 0), (2, 3), (3, 1), (4, 0)]);
        assert_eq!(order.cycles(), [vec![0, 1, 2]]);
        assert_eq!(order.waves(), None);
        assert_eq!(Order::new(2, [(1, 1)]).cycles(), [vec![1]]);
    }

    #[test]
    fn waves_hold_what_can_go_on_side_by_side() {
        let order = Order::new(4, [(0, 1), (0, 2), (1, 3), (2, 3)]);
        assert_eq!(order.waves(), Some(vec![vec![0], vec![1, 2], vec![3]]));
        assert!(order.needs(3, 0) && !order.needs(1, 2) && !order.needs(1, 1));
    }
}
