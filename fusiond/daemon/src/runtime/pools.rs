//! From profiles to pools: what an agent is made of that nobody spawned by hand.
//!
//! Not for: when a pool grows (`fusion_core::pool`).

use super::{Runtime, word};
use crate::paths::Paths;
use crate::profile::{APPLIED, Kind, Library, Profile};
use fusion_core::agent::{AgentLimits, AgentSpec, Recipe, RestartPolicy, Stay};
use fusion_core::pool::{AllPools, NAMED_IDLE, NAMED_MAX, Pool, Pools, Takes};
use fusion_core::{Capabilities, Uid};

impl Runtime {
    /// The pools of all profiles: of one that says nothing of a pool, for tasks that name it. For the core whenever the profiles change.
    #[must_use]
    pub fn pools(&self, library: &Library, paths: &Paths) -> AllPools {
        let own =
            library.owners().map(|uid| (Uid(uid), self.some_pools(library.list(uid), Some(uid), paths)));
        AllPools { shared: self.some_pools(library.shared().list(), None, paths), own: own.collect() }
    }

    fn some_pools<'a>(
        &self,
        profiles: impl IntoIterator<Item = &'a Profile>,
        owner: Option<u32>,
        paths: &Paths,
    ) -> Pools {
        let runnable = profiles.into_iter().filter(|profile| is_runnable(profile));
        runnable
            .filter_map(|profile| Some((profile.name.clone(), pool(profile, self, owner, paths)?)))
            .collect()
    }
}

/// What cannot be spawned by hand is not spawned by a pool either.
fn is_runnable(profile: &Profile) -> bool {
    profile.kind == Kind::Exec && !profile.command.is_empty() && profile.sandbox.word() == "user"
}

fn pool(profile: &Profile, runtime: &Runtime, owner: Option<u32>, paths: &Paths) -> Option<Pool> {
    let (size, takes) = match profile.pool {
        Some(asked) => ((asked.min, asked.max, asked.idle_timeout), Takes::Any),
        None => ((0, NAMED_MAX, NAMED_IDLE), Takes::Named),
    };
    let (min, max, idle_timeout) = size;
    let limits = AgentLimits::default();
    let backend = word(runtime.choose_backend(&limits).ok()?);
    let recipe = Recipe {
        backend: backend.to_owned(),
        workspace: paths.workspaces.to_string_lossy().into_owned(),
        ..profile.recipe()
    };
    let capabilities: Capabilities = profile.capabilities.iter().cloned().collect();
    let spec = AgentSpec {
        name: profile.name.clone(),
        profile: profile.name.clone(),
        capabilities: capabilities.of_profile(&profile.name),
        restart: RestartPolicy::OnFailure,
        limits,
        idle_timeout: profile.idle_timeout,
        group: None,
        stay: Stay::Pool,
        retention: None,
        secrets: Vec::new(),
        seed: None,
        disk_bytes: profile.disk_bytes,
        recipe,
    };
    // Whoever applied a profile wants its min at hand, and so does the one user of a daemon; one of all users
    // waits for their work.
    let warm = match owner.filter(|_| profile.source == APPLIED) {
        Some(uid) => vec![Uid(uid)],
        None if paths.serves_all() => Vec::new(),
        None => vec![Uid(paths.uid)],
    };
    Some(Pool { min, max, idle_timeout, warm, takes, spec })
}
