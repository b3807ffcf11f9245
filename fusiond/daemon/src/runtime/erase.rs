//! Removes the logs of attempts whose history has ended.
//!
//! The files are the daemon's own, in folders of the daemon: `state/i/<agent>.<n>/<k>.*`. Not here: which history has
//! ended (the engine), logs of a removed agent (`workspace`).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use fusion_core::AgentId;
use fusion_core::task::Lease;

/// Removes what there is of these logs; what cannot be removed stays and is told in the log.
pub(super) fn erase(state_dir: &Path, leases: &[Lease]) {
    let mut by_folder: BTreeMap<(AgentId, u32), Vec<u32>> = BTreeMap::new();
    for lease in leases {
        by_folder.entry((lease.agent, lease.incarnation)).or_default().push(lease.serial);
    }
    for ((agent, incarnation), serials) in by_folder {
        let folder = state_dir.join("i").join(format!("{agent}.{incarnation}"));
        match erase_in(&folder, &serials) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(folder = %folder.display(), "old logs could not be removed: {error}")
            }
        }
    }
}

fn erase_in(folder: &Path, serials: &[u32]) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let serial =
            name.to_str().and_then(|name| name.split('.').next()).and_then(|first| first.parse().ok());
        if serial.is_some_and(|serial| serials.contains(&serial)) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logs_of_the_named_attempts_go_and_others_stay() {
        let state = tempfile::tempdir().expect("a folder");
        let (agent, incarnation) = (AgentId(7), 2);
        let folder = state.path().join("i").join(format!("{agent}.{incarnation}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        for name in ["1.out", "1.err", "1.out.16777216", "1.idx", "11.out", "2.out"] {
            std::fs::write(folder.join(name), "x").expect("a file");
        }
        erase(
            state.path(),
            &[Lease { agent, incarnation, serial: 1 }, Lease { agent, incarnation: 9, serial: 1 }],
        );
        let mut left: Vec<_> = std::fs::read_dir(&folder)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        left.sort();
        assert_eq!(left, ["11.out", "2.out"]);
    }
}
