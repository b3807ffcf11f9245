//! What can be asked of a run without looking at every node: which nodes are ready, how many are on their way, what is due.
//!
//! A pure function of the plan and the nodes, but for what is being prepared, which a restart forgets;
//! [`crate::State::check`] makes it anew and compares. It changes by the edges of the node that changed.
//! Not for: choosing (`run`).

use crate::time::Time;
use crate::workflow::Doom;
use crate::workflow::budget::Meter;
use crate::workflow::node::{How, Node, NodeState, Place};
use crate::workflow::plan::{Occasion, OnFailure, Plan};
use crate::workflow::watch::Watch;
use std::collections::{BTreeMap, BTreeSet};

/// What follows from the nodes of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Book {
    /// How many needs of each node have not ended.
    waiting: Vec<u32>,
    /// A need of each node that was missed, if one was.
    missed: Vec<Option<u32>>,
    /// Nodes that can begin.
    ready: BTreeSet<u32>,
    /// Nodes with items that can begin.
    fanning: BTreeSet<u32>,
    /// Nodes whose items are on their way.
    fans: BTreeMap<u32, Fan>,
    /// Places that are being prepared, with the ticket of the order.
    preparing: BTreeMap<Place, u64>,
    /// Tasks of the run that have not ended, and places that are being prepared.
    busy: u32,
    /// Nodes that have not ended, hooks left out.
    open: u32,
    /// Hooks that have not ended.
    open_hooks: u32,
    /// What time alone will change.
    dues: BTreeSet<(Time, u32)>,
    /// What all nodes and items have used.
    meter: Meter,
    /// Nodes that wait for an event, by its word or that of its room.
    watches: BTreeMap<Box<str>, BTreeSet<u32>>,
}

/// The items of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fan {
    pub(crate) count: u32,
    /// How many may be on their way at once.
    parallel: u32,
    /// The first that has not begun, leaving out those in `again`.
    next: u32,
    /// Those that begin once more.
    again: BTreeSet<u32>,
    /// Those on their way.
    pub(crate) active: u32,
    /// Those that have ended.
    pub(crate) ended: u32,
    /// Those of them that did not end well.
    pub(crate) failed: u32,
    /// Whether no more shall begin.
    pub(crate) stopped: bool,
    /// What all of them have used.
    pub(crate) meter: Meter,
}

impl Fan {
    fn new(count: u32, parallel: u32) -> Self {
        let parallel = if parallel == 0 { u32::MAX } else { parallel };
        Self { count, parallel, ..Self::default() }
    }

    fn has_next(&self) -> bool {
        !self.stopped && self.active < self.parallel && (!self.again.is_empty() || self.next < self.count)
    }

    /// Whether nothing of it will happen any more.
    pub(crate) fn is_over(&self) -> bool {
        self.active == 0 && (self.stopped || self.ended == self.count)
    }
}

/// Whether nodes of this occasion do not begin any more in a run that is lost like that.
pub(crate) fn is_over(occasion: Occasion, doom: Option<&Doom>) -> bool {
    match (occasion, doom) {
        (Occasion::Needs, Some(_)) | (Occasion::Always, Some(Doom::Killed)) | (Occasion::Never, _) => true,
        (Occasion::Needs, None)
        | (Occasion::Always, None | Some(Doom::Failed(_) | Doom::Cancelled))
        | (Occasion::Success | Occasion::Failure, _) => false,
    }
}

/// Whether what needs a node can go on.
pub(crate) fn is_missed(how: &How, policy: OnFailure) -> bool {
    match (how, policy) {
        (How::Succeeded(_), _) | (How::Failed(_) | How::Cancelled, OnFailure::Continue) => false,
        (How::Skipped(_), _)
        | (How::Failed(_) | How::Cancelled, OnFailure::Fail | OnFailure::SkipDependents) => true,
    }
}

impl Book {
    /// The book of these nodes.
    pub(crate) fn of(
        plan: &Plan,
        nodes: &[Node],
        items: &BTreeMap<(u32, u32), Node>,
        doom: Option<&Doom>,
    ) -> Self {
        let mut book = Self {
            waiting: Vec::with_capacity(nodes.len()),
            missed: Vec::with_capacity(nodes.len()),
            ..Self::default()
        };
        nodes.iter().chain(items.values()).for_each(|node| book.meter.enter(node));
        for (at, node) in (0..).zip(nodes) {
            let ends = plan.graph.needs(at).iter().map(|need| (*need, nodes[*need as usize].state.end()));
            let is_missed = |(need, end): &(u32, Option<&super::node::End>)| {
                end.is_some_and(|end| is_missed(&end.how, plan.node(*need).on_failure))
            };
            book.missed.push(ends.clone().find(is_missed).map(|(need, _)| need));
            let waiting = ends.filter(|(_, end)| end.is_none()).count();
            book.waiting.push(u32::try_from(waiting).unwrap_or(u32::MAX));
            let is_hook = plan.node(at).occasion.is_hook();
            if node.state.end().is_none() {
                *(if is_hook { &mut book.open_hooks } else { &mut book.open }) += 1;
            }
            book.enter(plan, at, &node.state, items);
            if is_over(plan.node(at).occasion, doom)
                && let Some(fan) = book.fans.get_mut(&at)
            {
                fan.stopped = true;
                book.refan(at);
            }
            if waiting == 0 && node.state == NodeState::Pending && !is_hook {
                book.ready.insert(at);
            }
        }
        book
    }

    /// What a node that is on its way adds.
    fn enter(&mut self, plan: &Plan, at: u32, state: &NodeState, items: &BTreeMap<(u32, u32), Node>) {
        self.dues.extend(state.due().map(|due| (due, at)));
        match state {
            NodeState::Active { .. } | NodeState::Collecting { .. } => self.busy += 1,
            NodeState::Fanned { count, .. } => {
                let mut fan = Fan::new(*count, plan.node(at).fan.unwrap_or_default());
                for ((_, item), node) in items.range((at, 0)..=(at, u32::MAX)) {
                    fan.enter(*item, node, plan.node(at).on_failure);
                    self.busy += u32::from(node.state.is_busy());
                }
                self.fans.insert(at, fan);
                self.refan(at);
            }
            NodeState::Watching { watch, .. } => self.listen(at, watch),
            NodeState::Pending
            | NodeState::Asking { .. }
            | NodeState::Sleeping { .. }
            | NodeState::Inside { .. }
            | NodeState::Ended(_) => {}
        }
    }

    fn refan(&mut self, node: u32) {
        if self.fans.get(&node).is_some_and(Fan::has_next) {
            self.fanning.insert(node);
        } else {
            self.fanning.remove(&node);
        }
    }

    /// The next place that can begin, which counts as busy from now on; the order of the definition decides.
    pub(crate) fn begin_next(&mut self, ticket: u64) -> Option<Place> {
        let (ready, fanning) = (self.ready.first().copied(), self.fanning.first().copied());
        let place = match (ready, fanning) {
            (None, None) => return None,
            (Some(node), None) => Place::whole(node),
            (Some(node), Some(fan)) if node < fan => Place::whole(node),
            (Some(_) | None, Some(node)) => Place { node, item: self.begin_item(node) },
        };
        if place.item.is_none() {
            self.ready.remove(&place.node);
        }
        self.busy += 1;
        self.preparing.insert(place, ticket);
        Some(place)
    }

    fn begin_item(&mut self, node: u32) -> Option<u32> {
        let fan = self.fans.get_mut(&node)?;
        let item = fan.again.pop_first().unwrap_or_else(|| {
            fan.next += 1;
            fan.next - 1
        });
        fan.active += 1;
        self.refan(node);
        Some(item)
    }

    /// Whether this order to prepare still stands; then it is done.
    pub(crate) fn take_ticket(&mut self, place: Place, ticket: u64) -> bool {
        let stands = self.preparing.get(&place) == Some(&ticket);
        if stands {
            self.preparing.remove(&place);
        }
        stands
    }

    /// A place that was busy begins again later.
    pub(crate) fn put_back(&mut self, place: Place) {
        self.busy -= 1;
        match place.item {
            None => {
                self.ready.insert(place.node);
            }
            Some(item) => {
                if let Some(fan) = self.fans.get_mut(&place.node) {
                    fan.active -= 1;
                    fan.again.insert(item);
                }
                self.refan(place.node);
            }
        }
    }

    /// A place is not busy any more.
    pub(crate) fn rest(&mut self) {
        self.busy -= 1;
    }

    /// A node waits for time.
    pub(crate) fn expect(&mut self, node: u32, due: Option<Time>) {
        self.dues.extend(due.map(|due| (due, node)));
    }

    /// A node does not wait for time any more.
    pub(crate) fn unexpect(&mut self, node: u32, due: Option<Time>) {
        if let Some(due) = due {
            self.dues.remove(&(due, node));
        }
    }

    /// A node waits for an event.
    pub(crate) fn listen(&mut self, node: u32, watch: &Watch) {
        for kind in &watch.kinds {
            self.watches.entry(kind.clone()).or_default().insert(node);
        }
    }

    /// A node does not wait for an event any more.
    pub(crate) fn unlisten(&mut self, node: u32, watch: &Watch) {
        for kind in &watch.kinds {
            let nodes = self.watches.entry(kind.clone()).or_default();
            nodes.remove(&node);
            if nodes.is_empty() {
                self.watches.remove(kind);
            }
        }
    }

    /// Whether a node waits for an event.
    pub(crate) fn is_listening(&self) -> bool {
        !self.watches.is_empty()
    }

    /// The nodes that wait for events under this word.
    pub(crate) fn listeners(&self, pattern: &str) -> impl Iterator<Item = u32> + use<'_> {
        self.watches.get(pattern).into_iter().flatten().copied()
    }

    /// A node has items.
    pub(crate) fn fan_out(&mut self, node: u32, count: u32, parallel: u32) {
        self.fans.insert(node, Fan::new(count, parallel));
        self.refan(node);
    }

    /// An item has ended; the fan it is of.
    pub(crate) fn end_item(&mut self, node: u32, went_well: bool, policy: OnFailure) -> Option<Fan> {
        let fan = self.fans.get_mut(&node)?;
        fan.active -= 1;
        fan.end(went_well, policy);
        let fan = fan.clone();
        self.refan(node);
        Some(fan)
    }

    /// No more items of a node begin; those that are being prepared do not. What became of the fan.
    pub(crate) fn stop_fan(&mut self, node: u32) -> Option<Fan> {
        let preparing = self.preparing.range(Place::whole(node)..=Place { node, item: Some(u32::MAX) });
        let places: Vec<Place> = preparing.map(|(place, _)| *place).collect();
        for place in &places {
            self.preparing.remove(place);
            self.busy -= 1;
        }
        let fan = self.fans.get_mut(&node)?;
        fan.stopped = true;
        fan.active -= u32::try_from(places.len()).unwrap_or(0);
        let fan = fan.clone();
        self.refan(node);
        Some(fan)
    }

    /// A node is over before it began: nothing of it is prepared any more.
    pub(crate) fn forget(&mut self, node: u32) {
        self.ready.remove(&node);
        if self.preparing.remove(&Place::whole(node)).is_some() {
            self.busy -= 1;
        }
    }

    /// A node has ended. Returns those that it was the last need of.
    pub(crate) fn end(&mut self, plan: &Plan, node: u32, is_missed: bool) -> Vec<u32> {
        self.fans.remove(&node);
        self.fanning.remove(&node);
        *(if plan.node(node).occasion.is_hook() { &mut self.open_hooks } else { &mut self.open }) -= 1;
        let mut freed = Vec::new();
        for dependent in plan.graph.dependents(node) {
            let at = *dependent as usize;
            self.waiting[at] -= 1;
            if is_missed {
                self.missed[at] = Some(self.missed[at].map_or(node, |other| other.min(node)));
            }
            if self.waiting[at] == 0 {
                freed.push(*dependent);
            }
        }
        freed
    }

    /// A node can begin.
    pub(crate) fn make_ready(&mut self, node: u32) {
        self.ready.insert(node);
    }

    /// Whether a node can begin, or is being prepared.
    pub(crate) fn is_begun(&self, node: u32) -> bool {
        self.ready.contains(&node) || self.preparing.contains_key(&Place::whole(node))
    }

    /// The nodes that can begin.
    pub(crate) fn ready(&self) -> impl Iterator<Item = u32> {
        self.ready.iter().copied()
    }

    /// A need of a node that was missed.
    pub(crate) fn missed(&self, node: u32) -> Option<u32> {
        self.missed[node as usize]
    }

    /// Tasks on their way.
    pub(crate) const fn busy(&self) -> u32 {
        self.busy
    }

    /// Nodes that have not ended; hooks are not counted.
    pub(crate) const fn open(&self) -> u32 {
        self.open
    }

    /// Hooks that have not ended.
    pub(crate) const fn open_hooks(&self) -> u32 {
        self.open_hooks
    }

    /// The first instant at which time alone changes a node.
    pub(crate) fn due(&self) -> Option<(Time, u32)> {
        self.dues.first().copied()
    }

    /// What all nodes and items have used.
    pub(crate) const fn meter(&self) -> Meter {
        self.meter
    }

    /// The meters that count what a place uses.
    pub(crate) fn meters(&mut self, place: Place) -> impl Iterator<Item = &mut Meter> {
        let fan = place.item.and_then(|_| self.fans.get_mut(&place.node));
        std::iter::once(&mut self.meter).chain(fan.map(|fan| &mut fan.meter))
    }

    /// The items of a node.
    pub(crate) fn fan(&self, node: u32) -> Option<&Fan> {
        self.fans.get(&node)
    }

    /// The same after a restart, which forgets what is being prepared and which hook was chosen.
    pub(crate) fn forgetful(&self, plan: &Plan) -> Self {
        let mut book = self.clone();
        for place in self.preparing.keys() {
            book.put_back(*place);
        }
        book.preparing.clear();
        book.ready.retain(|node| !plan.node(*node).occasion.is_hook());
        let mut fans = book.fans.clone();
        for fan in fans.values_mut() {
            fan.compact();
        }
        book.fans = fans;
        book
    }
}

impl Fan {
    fn enter(&mut self, item: u32, node: &Node, policy: OnFailure) {
        self.meter.enter(node);
        self.again.extend(self.next..item);
        self.next = self.next.max(item + 1);
        match &node.state {
            NodeState::Ended(end) => self.end(matches!(end.how, How::Succeeded(_)), policy),
            NodeState::Pending => {
                self.again.insert(item);
            }
            NodeState::Active { .. }
            | NodeState::Collecting { .. }
            | NodeState::Asking { .. }
            | NodeState::Sleeping { .. }
            | NodeState::Watching { .. }
            | NodeState::Inside { .. }
            | NodeState::Fanned { .. } => self.active += 1,
        }
    }

    fn end(&mut self, went_well: bool, policy: OnFailure) {
        self.ended += 1;
        if !went_well {
            self.failed += 1;
            self.stopped |= policy != OnFailure::Continue;
        }
    }

    /// Items that begin once more and stand last are those that have not begun; of a stopped fan none begins.
    fn compact(&mut self) {
        if self.stopped {
            (self.next, self.again) = (0, BTreeSet::new());
        }
        while self.next > 0 && self.again.remove(&(self.next - 1)) {
            self.next -= 1;
        }
    }
}
