//! The words of events that a node may wait for. Not for: what they mean (`docs/reference/events.md`).
//!
//! They are the daemon's, which stands above this crate: a test there compares.

use crate::near::nearest;

/// All words, sorted.
pub static WORDS: &[&str] = &[
    "agent.backed_off",
    "agent.crashed",
    "agent.draining",
    "agent.paused",
    "agent.pausing",
    "agent.quarantined",
    "agent.ready",
    "agent.removed",
    "agent.restarted",
    "agent.resumed",
    "agent.spawned",
    "agent.stale_news",
    "agent.stopped",
    "agent.stopping",
    "agent.terminated",
    "agent.updated",
    "attempt.exited",
    "attempt.lost",
    "attempt.not_started",
    "daemon.intake_closed",
    "daemon.intake_opened",
    "daemon.started",
    "node.asked",
    "node.cancelled",
    "node.decided",
    "node.failed",
    "node.retried",
    "node.skipped",
    "node.started",
    "node.succeeded",
    "node.waiting",
    "profile.applied",
    "profile.removed",
    "run.cancelled",
    "run.cancelling",
    "run.edited",
    "run.failed",
    "run.paused",
    "run.rerun",
    "run.resumed",
    "run.started",
    "run.succeeded",
    "secret.removed",
    "secret.set",
    "task.answered",
    "task.asked",
    "task.cancelled",
    "task.cancelling",
    "task.deferred",
    "task.failed",
    "task.held",
    "task.lost",
    "task.queued",
    "task.released",
    "task.resolved",
    "task.retried",
    "task.started",
    "task.submitted",
    "task.succeeded",
    "task.timed_out",
    "task.updated",
    "workflow.applied",
    "workspace.kept",
    "workspace.over_quota",
    "workspace.removed",
    "workspace.seed_failed",
    "workspace.seeded",
    "workspace.seeding",
    "workspace.within_quota",
];

/// Why this names no events, and what may have been meant; `None`: it does. `agent.*` names all that begin with `agent.`.
pub fn fault(text: &str) -> Option<String> {
    let rooms = || WORDS.iter().filter_map(|word| word.split_once('.')).map(|(room, _)| room);
    if let Some(room) = text.strip_suffix(".*") {
        if rooms().any(|known| known == room) {
            return None;
        }
        let near = nearest(room, rooms());
        return Some(near.map_or_else(said, |near| format!("is \"{near}.*\" meant?")));
    }
    if WORDS.contains(&text) {
        return None;
    }
    if rooms().any(|known| known == text) {
        return Some(format!("write \"{text}.*\" for all of them"));
    }
    let near = alike(text).or_else(|| nearest(text, WORDS.iter().copied()));
    Some(near.map_or_else(said, |near| format!("is \"{near}\" meant?")))
}

/// Words that say the same as the last part of one of ours.
const ALIKE: [(&[&str], &[&str]); 9] = [
    (
        &["done", "completed", "complete", "finished", "success", "ok", "passed", "ended"],
        &["succeeded", "stopped"],
    ),
    (&["error", "errored", "failure", "broken"], &["failed", "crashed"]),
    (&["canceled", "aborted", "killed", "stop"], &["cancelled", "terminated"]),
    (&["created", "added", "new", "enqueued", "pending"], &["submitted", "spawned", "applied", "set"]),
    (&["started", "running", "began", "begun", "launched", "start", "up"], &["started", "spawned"]),
    (&["timeout", "expired"], &["timed_out"]),
    (&["approved", "rejected"], &["decided", "answered"]),
    (&["exited", "exit", "died", "down"], &["terminated", "stopped"]),
    (&["deleted", "gone"], &["removed"]),
];

/// Our word for what another tool calls `task.done`.
fn alike(text: &str) -> Option<&'static str> {
    let (room, word) = text.split_once('.')?;
    let (_, ours) = ALIKE.iter().find(|(theirs, _)| theirs.contains(&word))?;
    ours.iter()
        .find_map(|last| WORDS.iter().copied().find(|known| known.split_once('.') == Some((room, *last))))
}

fn said() -> String {
    "docs/reference/events.md has all of them; \"agent.*\" is all that begin so".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_rooms_name_events_and_everything_else_does_not() {
        for fine in ["task.succeeded", "agent.*", "node.failed"] {
            assert_eq!(fault(fine), None, "{fine}");
        }
        for (wrong, hint) in [
            ("task.succeded", "is \"task.succeeded\" meant?"),
            ("task.done", "is \"task.succeeded\" meant?"),
            ("run.error", "is \"run.failed\" meant?"),
            ("agent.exited", "is \"agent.terminated\" meant?"),
            ("agents.*", "is \"agent.*\" meant?"),
            ("task", "write \"task.*\" for all of them"),
        ] {
            assert_eq!(fault(wrong).as_deref(), Some(hint), "{wrong}");
        }
        assert!(WORDS.is_sorted());
    }
}
