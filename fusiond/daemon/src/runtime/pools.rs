//! From profiles to pools: what an agent is made of that nobody spawned by hand.
//!
//! Not for: when a pool grows (`fusion_core::pool`).

use super::{Runtime, word};
use crate::paths::Paths;
use crate::profile::{Kind, Profile, Profiles};
use fusion_core::Uid;
use fusion_core::agent::{AgentLimits, AgentSpec, Recipe, RestartPolicy, Stay};
use fusion_core::pool::{Pool, Pools};

impl Runtime {
    /// The pools of all profiles that have one. For the core whenever the profiles change.
    #[must_use]
    pub fn pools(&self, profiles: &Profiles, paths: &Paths) -> Pools {
        let with_pool = profiles.list().filter(|profile| is_runnable(profile));
        with_pool.filter_map(|profile| Some((profile.name.clone(), pool(profile, self, paths)?))).collect()
    }
}

/// What cannot be spawned by hand is not spawned by a pool either.
fn is_runnable(profile: &Profile) -> bool {
    profile.kind == Kind::Exec && !profile.command.is_empty() && profile.sandbox.word() == "user"
}

fn pool(profile: &Profile, runtime: &Runtime, paths: &Paths) -> Option<Pool> {
    let asked = profile.pool?;
    let limits = AgentLimits::default();
    let backend = word(runtime.choose_backend(&limits).ok()?);
    let recipe = Recipe {
        command: profile.command.clone(),
        prompt: profile.prompt.word().to_owned(),
        home: profile.home.word().to_owned(),
        sandbox: profile.sandbox.word().to_owned(),
        result: profile.result.to_string(),
        env: profile.env.clone().into_iter().collect(),
        backend: backend.to_owned(),
        stdin: profile.stdin.word().to_owned(),
        workspace: paths.workspaces.to_string_lossy().into_owned(),
        ..Recipe::default()
    };
    let spec = AgentSpec {
        name: profile.name.clone(),
        profile: profile.name.clone(),
        capabilities: profile.capabilities.iter().cloned().collect(),
        restart: RestartPolicy::OnFailure,
        limits,
        idle_timeout: profile.idle_timeout,
        group: None,
        stay: Stay::Pool,
        retention: None,
        secrets: Vec::new(),
        seed: None,
        recipe,
    };
    // A daemon of one user knows for whom to keep agents at hand; one of all users waits for their work.
    let warm = if paths.serves_all() { Vec::new() } else { vec![Uid(paths.uid)] };
    Some(Pool { min: asked.min, max: asked.max, idle_timeout: asked.idle_timeout, warm, spec })
}
