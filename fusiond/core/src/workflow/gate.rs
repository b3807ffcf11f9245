//! Gates of a run: a person is asked, and decides, or nobody does in time.
//!
//! Not for: who may decide (`approve`).

use crate::event::EventKind;
use crate::failure::{Failure, FailureCode};
use crate::time::Time;
use crate::workflow::Run;
use crate::workflow::node::{Decision, How, NodeState, Output, Place, Verdict};
use crate::workflow::plan::{Lapse, NodeKind, Rejection};
use crate::workflow::run::Act;

impl Run {
    pub(super) fn ask(&mut self, now: Time, node: u32, acts: &mut Vec<Act>) {
        self.book.rest();
        let expires_at = match self.plan.node(node).kind {
            NodeKind::Approval { timeout, .. } => timeout.map(|span| now.plus(span)),
            NodeKind::Task | NodeKind::Wait | NodeKind::Workflow => None,
        };
        self.set(Place::whole(node), NodeState::Asking { since: now, expires_at }, acts);
        self.book.expect(node, expires_at);
        acts.push(Act::Tell(EventKind::NodeAsked { run: self.id, node: self.name(node), expires_at }));
    }

    pub(super) fn decided(&mut self, now: Time, node: u32, decision: Decision, acts: &mut Vec<Act>) {
        let NodeState::Asking { expires_at, .. } = self.state_of(Place::whole(node)) else { return };
        self.book.unexpect(node, expires_at);
        let NodeKind::Approval { rejection, .. } = self.plan.node(node).kind else { return };
        acts.push(Act::Tell(EventKind::NodeDecided {
            run: self.id,
            node: self.name(node),
            approved: decision.verdict.is_approved(),
            comment: decision.comment.to_string(),
        }));
        let how = match (decision.verdict, rejection) {
            (Verdict::Approved, _) | (Verdict::Rejected, Rejection::Result) => {
                How::Succeeded(Output::Decision(Box::new(decision)))
            }
            (Verdict::Rejected, Rejection::Failure) => {
                let said = if decision.comment.is_empty() {
                    String::new()
                } else {
                    format!(": {}", decision.comment)
                };
                let message = format!("rejected by {}{said}", decision.by);
                How::Failed(Box::new(Failure::new(FailureCode::Rejected, message)))
            }
        };
        self.conclude(now, node, how, acts);
    }

    pub(super) fn lapse(&mut self, now: Time, node: u32, acts: &mut Vec<Act>) {
        let verdict = match self.plan.node(node).kind {
            NodeKind::Approval { lapse: Lapse::Approve, .. } => Verdict::Approved,
            NodeKind::Approval { lapse: Lapse::Reject, .. }
            | NodeKind::Task
            | NodeKind::Wait
            | NodeKind::Workflow => Verdict::Rejected,
        };
        let comment = "nobody decided in time".into();
        let decision = Decision { verdict, by: crate::input::Actor::Daemon, comment };
        self.decided(now, node, decision, acts);
    }
}
