//! Random edits of random runs.

use super::{World, seeds};
use crate::workflow::plan::ResultUse;
use crate::workflow::run::News;
use crate::workflow::*;
use std::sync::Arc;

impl World {
    /// Somebody gives the run another definition for what it has not begun.
    pub(super) fn edit(&mut self) {
        let before: Vec<Node> = self.run.nodes.clone();
        let plan = self.draw_edit();
        self.tell(News::Edited { plan: Arc::new(plan), changes: Changes::default() });
        for (was, is) in before.iter().zip(&self.run.nodes) {
            let stays = was.state == NodeState::Pending || was.state.is_removed() || was == is;
            assert!(stays, "seed {}: an edit changed what had begun", self.seed);
        }
    }

    /// Nodes that have not begun go, come back, change and need others; new ones stand between those there are.
    fn draw_edit(&mut self) -> Plan {
        let old = Arc::clone(&self.run.plan);
        let open: Vec<bool> = self.run.nodes.iter().map(|node| node.state == NodeState::Pending).collect();
        let is_open = |node: u32| open[node as usize];
        let mut nodes = old.nodes.to_vec();
        let known = old.graph.len();
        for node in 0..known {
            let own = &mut nodes[node as usize];
            match (self.rng.below(6), own.occasion) {
                (0, Occasion::Never) => own.occasion = Occasion::Needs,
                (0, _) if is_open(node) => own.occasion = Occasion::Never,
                (1, Occasion::Needs) if is_open(node) => own.occasion = Occasion::Always,
                (2, _) if is_open(node) => own.on_failure = OnFailure::Continue,
                (_, _) => {}
            }
        }
        let new = u32::try_from(self.rng.below(3)).unwrap();
        nodes.extend((known..known + new).map(|at| NodePlan {
            id: format!("n{at}").into(),
            kind: NodeKind::Task,
            on_failure: OnFailure::Continue,
            occasion: Occasion::Needs,
            fan: (self.rng.below(4) == 0).then_some(1),
            result: ResultUse::Left,
            retries: 0,
            budget: Budget::default(),
        }));
        let count = known + new;
        let has = |node: u32| nodes[node as usize].occasion != Occasion::Never;
        let is_step = |node: u32| has(node) && !nodes[node as usize].occasion.is_hook();
        let mut edges: Vec<(u32, u32)> = (0..known)
            .flat_map(|to| old.graph.needs(to).iter().map(move |from| (*from, to)))
            .filter(|(from, to)| has(*from) && has(*to))
            .collect();
        for _ in 0..new * 4 {
            let edge = (self.draw_below(count), self.draw_below(count));
            let is_new = |node: u32| node >= known;
            let fits = is_step(edge.0) && is_step(edge.1) && (is_new(edge.1) || is_open(edge.1));
            let with: Vec<(u32, u32)> = edges.iter().copied().chain([edge]).collect();
            if fits && (is_new(edge.0) || is_new(edge.1)) && Graph::new(count, &with).is_ok() {
                edges = with;
            }
        }
        edges.sort_unstable();
        edges.dedup();
        let graph = Graph::new(count, &edges).unwrap();
        Plan {
            graph,
            nodes: nodes.into(),
            order: Box::default(),
            concurrency: old.concurrency,
            timeout: None,
            budget: old.budget,
        }
    }

    fn draw_below(&mut self, most: u32) -> u32 {
        u32::try_from(self.rng.below(u64::from(most))).unwrap()
    }
}

#[test]
fn edits_touch_only_what_has_not_begun_and_the_run_still_ends() {
    let mut edited = 0;
    for seed in 0..seeds() {
        let world = World::live_with(seed, 0xED17, true);
        assert!(world.tasks.is_empty() && world.run.book.busy() == 0, "seed {seed}");
        let removed = |node: u32| world.run.nodes[node as usize].state.is_removed();
        let gone = |node: u32| world.run.plan.node(node).occasion == Occasion::Never;
        assert!((0..world.run.plan.graph.len()).all(|node| removed(node) == gone(node)), "seed {seed}");
        edited += u64::from(world.run.revision > 1);
    }
    assert!(edited > seeds() / 2);
}
