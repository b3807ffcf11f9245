//! Which node needs which: a value that cannot hold a cycle.
//!
//! Nodes are numbered from 0. Not for: what a node is (`plan`), how far a run is (`book`).

use serde::{Deserialize, Serialize};

/// Needs of nodes, in both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Edges", into = "Edges")]
pub struct Graph {
    needs: Lists,
    dependents: Lists,
}

/// Lists of numbers behind one another: no allocation for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lists {
    ends: Box<[u32]>,
    items: Box<[u32]>,
}

impl Lists {
    fn new(nodes: u32, mut pairs: Vec<(u32, u32)>) -> Self {
        pairs.sort_unstable();
        let mut ends = vec![0; nodes as usize];
        for (from, _) in &pairs {
            ends[*from as usize] += 1;
        }
        let mut sum = 0;
        for end in &mut ends {
            sum += *end;
            *end = sum;
        }
        Self { ends: ends.into(), items: pairs.into_iter().map(|(_, to)| to).collect() }
    }

    fn of(&self, node: u32) -> &[u32] {
        let node = node as usize;
        let start = node.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.items[start as usize..self.ends[node] as usize]
    }
}

/// Why there is no such graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// These nodes need one another.
    #[error("nodes need one another")]
    Cycle,
    /// A node is named that does not exist.
    #[error("an edge names a node that does not exist")]
    Unknown,
}

impl Graph {
    /// The graph of so many nodes, with edges from a node to one that needs it.
    ///
    /// # Errors
    /// [`GraphError`].
    pub fn new(nodes: u32, edges: &[(u32, u32)]) -> Result<Self, GraphError> {
        if edges.iter().any(|(needed, dependent)| *needed >= nodes || *dependent >= nodes) {
            return Err(GraphError::Unknown);
        }
        let dependents = Lists::new(nodes, edges.to_vec());
        let needs =
            Lists::new(nodes, edges.iter().map(|(needed, dependent)| (*dependent, *needed)).collect());
        let graph = Self { needs, dependents };
        if graph.sorted() == nodes as usize { Ok(graph) } else { Err(GraphError::Cycle) }
    }

    /// How many nodes can be put into an order in which each stands behind what it needs (Kahn 1962, "Topological
    /// sorting of large networks").
    fn sorted(&self) -> usize {
        let mut waiting: Vec<usize> = (0..self.len()).map(|node| self.needs(node).len()).collect();
        let mut free: Vec<u32> = (0..self.len()).filter(|node| waiting[*node as usize] == 0).collect();
        let mut sorted = 0;
        while let Some(node) = free.pop() {
            sorted += 1;
            for dependent in self.dependents(node) {
                waiting[*dependent as usize] -= 1;
                if waiting[*dependent as usize] == 0 {
                    free.push(*dependent);
                }
            }
        }
        sorted
    }

    /// How many nodes there are.
    #[must_use]
    pub fn len(&self) -> u32 {
        u32::try_from(self.needs.ends.len()).expect("nodes are numbered by u32")
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.needs.ends.is_empty()
    }

    /// What a node needs.
    #[must_use]
    pub fn needs(&self, node: u32) -> &[u32] {
        self.needs.of(node)
    }

    /// What needs a node.
    #[must_use]
    pub fn dependents(&self, node: u32) -> &[u32] {
        self.dependents.of(node)
    }

    /// These nodes and everything that needs one of them, by whatever is between.
    #[must_use]
    pub fn downstream(&self, mut next: Vec<u32>) -> Vec<bool> {
        let mut found = vec![false; self.len() as usize];
        while let Some(node) = next.pop() {
            if !std::mem::replace(&mut found[node as usize], true) {
                next.extend(self.dependents(node));
            }
        }
        found
    }
}

/// The stored form.
#[derive(Serialize, Deserialize)]
struct Edges {
    nodes: u32,
    edges: Vec<(u32, u32)>,
}

impl From<Graph> for Edges {
    fn from(graph: Graph) -> Self {
        let edges = (0..graph.len())
            .flat_map(|node| graph.dependents(node).iter().map(move |dependent| (node, *dependent)))
            .collect();
        Self { nodes: graph.len(), edges }
    }
}

impl TryFrom<Edges> for Graph {
    type Error = GraphError;

    fn try_from(edges: Edges) -> Result<Self, GraphError> {
        Self::new(edges.nodes, &edges.edges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_is_no_graph() {
        assert_eq!(Graph::new(3, &[(0, 1), (1, 2), (2, 1)]), Err(GraphError::Cycle));
        assert_eq!(Graph::new(1, &[(0, 0)]), Err(GraphError::Cycle));
        assert_eq!(Graph::new(1, &[(0, 1)]), Err(GraphError::Unknown));
    }

    #[test]
    fn needs_and_dependents_are_the_two_ends_of_the_same_edges() {
        let graph = Graph::new(4, &[(0, 1), (0, 2), (1, 3), (2, 3)]).unwrap();
        assert_eq!((graph.needs(3), graph.dependents(0)), ([1, 2].as_slice(), [1, 2].as_slice()));
        assert_eq!(graph.downstream(vec![1]), [false, true, false, true]);
        assert_eq!(Graph::try_from(Edges::from(graph.clone())), Ok(graph));
    }
}
