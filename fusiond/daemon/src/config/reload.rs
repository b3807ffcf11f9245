//! What differs between two configurations, and whether it can be taken over by a daemon that runs. Not here: taking it
//! over (`crate::reload`).

use super::load::Loaded;
use super::read::dotted;

/// Settings that a running daemon takes over: whole keys, or everything below a table.
pub(super) const LIVE: &[&str] = &[
    "allow_root_agents",
    "allow_nologin_users",
    "limits.",
    "users.",
    "runtime.grace",
    "runtime.restart_backoff",
    "runtime.restart_backoff_max",
    "runtime.quarantine_crashes",
    "runtime.quarantine_window",
    "runtime.log_quota",
    "tasks.history",
    "tasks.retry_backoff",
    "tasks.retry_backoff_max",
    "tasks.ended_in_memory",
    "workspaces.retention",
    "workspaces.disk",
    "log.level",
];

/// The settings that differ, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that are in force now.
    pub taken: Vec<String>,
    /// Those that wait for a restart.
    pub waiting: Vec<String>,
}

/// Compares what was just read with what is in force: for what can be taken over, with what was read last; for the
/// rest, with what the daemon started with.
#[must_use]
pub fn changes(started: &Loaded, last: &Loaded, read: &Loaded) -> Changes {
    let taken = differing(last, read).filter(|key| is_live(key)).collect();
    let waiting = differing(started, read).filter(|key| !is_live(key)).collect();
    Changes { taken, waiting }
}

fn differing<'a>(one: &'a Loaded, other: &'a Loaded) -> impl Iterator<Item = String> + 'a {
    let keys: std::collections::BTreeSet<&Vec<String>> =
        one.values.0.keys().chain(other.values.0.keys()).collect();
    let value = |loaded: &'a Loaded, key: &Vec<String>| loaded.values.0.get(key).map(|(value, _)| value);
    keys.into_iter().filter(move |key| value(one, key) != value(other, key)).map(|key| dotted(key))
}

fn is_live(key: &str) -> bool {
    LIVE.iter().any(|live| if live.ends_with('.') { key.starts_with(live) } else { key == *live })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::{SETTINGS, Used};
    use crate::config::{Args, load};

    fn with(text: &str) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fusiond.toml");
        std::fs::write(&file, text).unwrap();
        let mut args = Args::default();
        args.place.root = Some(folder.path().join("root"));
        args.place.config = Some(file);
        let mut loaded = load(&args, |_| None).unwrap();
        // Each folder has a name of its own.
        loaded.paths.run = "/".into();
        loaded
    }

    #[test]
    fn what_can_be_taken_over_is_told_from_what_waits() {
        let started = with("[limits]\nmax_running = 3\n[store]\nfree_floor = \"64MiB\"\n");
        let read = with("[limits]\nmax_running = 4\n[store]\nfree_floor = \"32MiB\"\n");
        let found = changes(&started, &started, &read);
        assert_eq!(
            (found.taken, found.waiting),
            (vec!["limits.max_running".into()], vec!["store.free_floor".into()])
        );
        let again = changes(&started, &read, &read);
        assert_eq!((again.taken, again.waiting), (vec![], vec!["store.free_floor".to_owned()]));
    }

    #[test]
    fn every_live_setting_exists_and_is_used() {
        for live in LIVE {
            let known = SETTINGS.iter().any(|setting| {
                let is_it =
                    if live.ends_with('.') { setting.key.starts_with(live) } else { setting.key == *live };
                is_it && setting.used == Used::Now
            });
            assert!(known, "{live}");
        }
    }
}
