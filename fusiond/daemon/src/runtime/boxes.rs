//! Ticks boxes in files of tasks that runs work through, as the owner of the run. Root opens none of these files.
//!
//! ```text
//!   engine ─► Ticks { owner, run, file, nodes } ─► one writer for each owner ─► fusion-shim tick
//! ```
//!
//! What is said of a run while its owner's last errand is under way is done by the next one, all at once. An errand is told
//! everything that is done, so that one that was lost is made up for by any later one. Not here: which nodes are done.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::ControlFlow;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fusion_core::{RunId, Uid};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::errand::{Ended, attend};
use super::identity::Owner;
use super::{Runtime, inspect};

/// One small file is written. A network file system may take its time.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticks {
    /// Whose the run and the file are.
    pub owner: Uid,
    /// The run.
    pub run: RunId,
    /// The file, an absolute path.
    pub file: String,
    /// All nodes that are done.
    pub nodes: Vec<String>,
}

/// What is still to be done for an owner.
#[derive(Default)]
struct Desk {
    due: BTreeMap<RunId, Ticks>,
    is_busy: bool,
}

impl Runtime {
    /// Has boxes ticked; returns at once.
    pub fn tick(&self, ticks: Ticks) {
        // Without the one who does it the daemon ends; the next start says it again.
        drop(self.shared.ticks.send(ticks));
    }
}

/// Begins to do what will be said.
#[expect(
    clippy::disallowed_methods,
    reason = "a word for each node that ends; of a run that waits, the last one is kept"
)]
pub(super) fn start(shim: PathBuf, handle: &Handle) -> mpsc::UnboundedSender<Ticks> {
    let (sender, orders) = mpsc::unbounded_channel();
    handle.spawn(serve(shim, orders));
    sender
}

/// Does what comes in, one errand at a time for each owner.
async fn serve(shim: PathBuf, mut orders: mpsc::UnboundedReceiver<Ticks>) {
    let mut desks: HashMap<Uid, Desk> = HashMap::new();
    let mut errands: JoinSet<()> = JoinSet::new();
    let mut owners: HashMap<tokio::task::Id, Uid> = HashMap::new();
    loop {
        let owner = tokio::select! {
            order = orders.recv() => {
                let Some(ticks) = order else { return };
                let owner = ticks.owner;
                desks.entry(owner).or_default().due.insert(ticks.run, ticks);
                owner
            }
            Some(done) = errands.join_next_with_id() => {
                let id = done.map_or_else(|error| error.id(), |(id, ())| id);
                let Some(owner) = owners.remove(&id) else { continue };
                desks.entry(owner).or_default().is_busy = false;
                owner
            }
        };
        let Some(desk) = desks.get_mut(&owner).filter(|desk| !desk.is_busy) else { continue };
        let Some((_, ticks)) = desk.due.pop_first() else {
            desks.remove(&owner);
            continue;
        };
        desk.is_busy = true;
        let shim = shim.clone();
        let errand = errands.spawn_blocking(move || report(&ticks, write(&shim, &ticks)));
        owners.insert(errand.id(), owner);
    }
}

fn report(ticks: &Ticks, written: io::Result<Ended>) {
    let reason = match written {
        Ok(Ended::Exited(status, _)) if status.success() => return,
        Ok(Ended::Exited(status, words)) if words.is_empty() => format!("it ended with {status}"),
        Ok(Ended::Exited(_, words)) => words,
        Ok(Ended::TooLong | Ended::Unheard) => format!("it took longer than {} s", PATIENCE.as_secs()),
        Err(error) => error.to_string(),
    };
    let (run, file) = (ticks.run, &ticks.file);
    tracing::warn!(%run, file, "boxes of tasks that are done could not be ticked: {reason}");
}

fn write(shim: &Path, ticks: &Ticks) -> io::Result<Ended> {
    let owner = Owner::look_up(ticks.owner).map_err(io::Error::other)?;
    let child = begin(shim, &owner, ticks)?;
    attend(child, Instant::now() + PATIENCE, &mut |_| ControlFlow::Continue(()))
}

fn begin(shim: &Path, owner: &Owner, ticks: &Ticks) -> io::Result<Child> {
    let mut command = Command::new(shim);
    command.arg("tick").arg(&ticks.file);
    if let Some(identity) = &owner.identity {
        let ids = [identity.uid, identity.gid].into_iter().chain(identity.groups.iter().copied());
        command.args(ids.map(|id| id.to_string()));
    }
    let nodes = inspect::hand_over(ticks.nodes.join("\n").as_bytes())?;
    command
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(nodes)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use fusion_tests::Fifo;

    use super::*;

    /// Some user besides root: `nobody` on every Linux.
    const OTHER: Uid = Uid(65_534);

    fn ticks(owner: Uid, run: u128, nodes: &[&str]) -> Ticks {
        let nodes = nodes.iter().map(|node| (*node).to_owned()).collect();
        Ticks { owner, run: RunId(run), file: "/tasks.md".to_owned(), nodes }
    }

    /// A writer that tells what it is given, and ends when it may.
    fn scribe(folder: &Path, bell: &Fifo, gate: &Fifo) -> PathBuf {
        let path = folder.join("scribe");
        let (bell, gate) = (bell.path(), gate.path());
        let script = format!("#!/bin/sh\n[ \"$1\" = tick ] && paste -sd, - > {bell}; read -r _ < {gate}\n");
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn what_is_said_of_a_run_during_an_errand_is_one_errand_afterwards() {
        let folder = tempfile::tempdir().unwrap();
        let mut bell = Fifo::new(&folder.path().join("bell"));
        let mut gate = Fifo::new(&folder.path().join("gate"));
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let orders = start(scribe(folder.path(), &bell, &gate), runtime.handle());
        let own = Uid(rustix::process::geteuid().as_raw());
        let say = |ticks| orders.send(ticks).unwrap();
        say(ticks(own, 1, &["T001"]));
        assert_eq!(bell.next_line(), "T001");
        say(ticks(own, 1, &["T001", "T002"]));
        say(ticks(own, 1, &["T001", "T002", "T003"]));
        say(ticks(own, 2, &["T009"]));
        // Somebody else does not wait; when that is heard, everything before it has been, too.
        say(ticks(OTHER, 3, &["X001"]));
        assert_eq!(bell.next_line(), "X001");
        gate.open_gate(2);
        assert_eq!(bell.next_line(), "T001,T002,T003");
        gate.open_gate(1);
        assert_eq!(bell.next_line(), "T009");
        say(ticks(own, 1, &["T001", "T002", "T003", "T004"]));
        gate.open_gate(2);
        assert_eq!(bell.next_line(), "T001,T002,T003,T004", "nothing was said twice");
    }
}
