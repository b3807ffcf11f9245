//! The agent service: one method per verb.
//!
//! Not for: deciding; `fusion_core::agent` does.

use super::plan::{check_env, plan_change, plan_command, plan_limits, plan_restart, plan_sandbox};
use super::profiles::profile_not_found;
use super::refuse::refuse;
use super::secrets::plan_uses;
use super::{Door, page_size, view};
use crate::caller::unfitness;
use crate::profile::{Kind, Profile};
use crate::runtime;
use fusion_core::agent::update::LimitsChange;
use fusion_core::agent::{AgentLife, AgentSpec, Freeze, Keep, Recipe, SpawnAgent, Stay, scale};
use fusion_core::input::PauseHow;
use fusion_core::workspace::Seeded;
use fusion_core::{AgentId, Caller, Command, Done, Key, Reject, Rights, State, Time, Uid};
use fusion_proto::v1;
use tonic::{Request, Response, Status, Streaming};

#[tonic::async_trait]
impl v1::agent_service_server::AgentService for Door {
    async fn create_agent(
        &self,
        request: Request<v1::CreateAgentRequest>,
    ) -> Result<Response<v1::Agent>, Status> {
        let caller = Self::caller(&request)?;
        let ask = self.plan_spawn(caller, request.into_inner()).map_err(|reject| refuse(&reject))?;
        let command = Command::SpawnAgent(Box::new(ask));
        let id = self.engine.ask(caller, command, None, |_, _, done| agent_of(done)).await;
        let id = id.map_err(|reject| refuse(&reject))?;
        self.wait_ready(id).await
    }

    async fn create_agents(
        &self,
        request: Request<v1::CreateAgentsRequest>,
    ) -> Result<Response<v1::CreateAgentsResponse>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let agent = ask.agent.ok_or_else(|| refuse(&Reject::FieldMissing { field: "agent" }))?;
        let agent = Box::new(self.plan_spawn(caller, agent).map_err(|reject| refuse(&reject))?);
        let command = Command::SpawnGroup { agent, replicas: ask.replicas };
        let agents = self.order_group(caller, command).await?;
        Ok(Response::new(v1::CreateAgentsResponse { agents }))
    }

    async fn scale_agents(
        &self,
        request: Request<v1::ScaleAgentsRequest>,
    ) -> Result<Response<v1::ScaleAgentsResponse>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let command = Command::ScaleAgents { group: ask.group, count: ask.replicas };
        let agents = self.order_group(caller, command).await?;
        Ok(Response::new(v1::ScaleAgentsResponse { agents }))
    }

    async fn update_agent(
        &self,
        request: Request<v1::UpdateAgentRequest>,
    ) -> Result<Response<v1::Agent>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let agent = ask.agent.clone();
        let change = Box::new(plan_change(ask).map_err(|reject| refuse(&reject))?);
        self.check_limits_live(caller, agent.clone(), change.limits).await?;
        let id = self.order_agent(caller, Command::UpdateAgent { agent, change }).await?;
        self.wait_agent(id, |_| Some(Ok(()))).await
    }

    async fn get_agent(&self, request: Request<v1::GetAgentRequest>) -> Result<Response<v1::Agent>, Status> {
        let caller = Self::caller(&request)?;
        let text = request.into_inner().agent;
        let look = move |state: &State, now: Time| {
            state.find_agent(caller, &text).map(|agent| view::agent::agent(state, agent, now))
        };
        let agent = self.engine.look(look).await.and_then(|found| found).map_err(|reject| refuse(&reject))?;
        Ok(Response::new(self.named_agent(agent)))
    }

    async fn list_agents(
        &self,
        request: Request<v1::ListAgentsRequest>,
    ) -> Result<Response<v1::ListAgentsResponse>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let after = page_start(&ask.page_token).map_err(|reject| refuse(&reject))?;
        let size = page_size(ask.page_size);
        let look = move |state: &State, now: Time| {
            let wanted = |life: &AgentLife| {
                let word = view::agent::life(life);
                let asked = ask.state();
                if asked != v1::AgentState::Unspecified {
                    return word == asked;
                }
                ask.show_terminated || word != v1::AgentState::Terminated
            };
            state
                .agents()
                .filter(|agent| after.is_none_or(|after| agent.id > after))
                .filter(|agent| State::sees_agent(caller, agent) && wanted(&agent.life))
                .take(size)
                .map(|agent| view::agent::agent(state, agent, now))
                .collect::<Vec<_>>()
        };
        let agents = self.engine.look(look).await.map_err(|reject| refuse(&reject))?;
        let full = agents.len() == size;
        let next_page_token =
            agents.last().filter(|_| full).map(|agent| agent.id.clone()).unwrap_or_default();
        let agents = agents.into_iter().map(|agent| self.named_agent(agent)).collect();
        Ok(Response::new(v1::ListAgentsResponse { agents, next_page_token }))
    }

    async fn pause_agent(
        &self,
        request: Request<v1::PauseAgentRequest>,
    ) -> Result<Response<v1::Agent>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let how = if ask.drain { PauseHow::Drain } else { PauseHow::Freeze };
        let id = self.order_agent(caller, Command::PauseAgent { agent: ask.agent, how }).await?;
        self.wait_agent(id, |agent| match &agent.life {
            AgentLife::Paused { freeze: Freeze::Asked, .. } => None,
            AgentLife::Paused { freeze: Freeze::Done, .. }
            | AgentLife::Starting { .. }
            | AgentLife::Seeding { .. }
            | AgentLife::Idle { .. }
            | AgentLife::Busy { .. }
            | AgentLife::Waiting { .. }
            | AgentLife::Draining { .. }
            | AgentLife::Backoff { .. }
            | AgentLife::Quarantined { .. }
            | AgentLife::Stopping { .. }
            | AgentLife::Terminated { .. } => Some(Ok(())),
        })
        .await
    }

    async fn resume_agent(
        &self,
        request: Request<v1::ResumeAgentRequest>,
    ) -> Result<Response<v1::Agent>, Status> {
        let caller = Self::caller(&request)?;
        let id = self.order_agent(caller, Command::ResumeAgent { agent: request.into_inner().agent }).await?;
        self.wait_agent(id, |_| Some(Ok(()))).await
    }

    async fn restart_agent(
        &self,
        request: Request<v1::RestartAgentRequest>,
    ) -> Result<Response<v1::Agent>, Status> {
        let caller = Self::caller(&request)?;
        let id =
            self.order_agent(caller, Command::RestartAgent { agent: request.into_inner().agent }).await?;
        self.wait_ready(id).await
    }

    async fn terminate_agent(
        &self,
        request: Request<v1::TerminateAgentRequest>,
    ) -> Result<Response<v1::Agent>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let grace = self.grace(ask.grace).map_err(|reject| refuse(&reject))?;
        let id = self.order_agent(caller, Command::TerminateAgent { agent: ask.agent, grace }).await?;
        self.wait_agent(id, |agent| agent.is_terminated().then_some(Ok(()))).await
    }

    async fn delete_agent(
        &self,
        request: Request<v1::DeleteAgentRequest>,
    ) -> Result<Response<v1::DeleteAgentResponse>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let grace = self.grace(ask.grace).map_err(|reject| refuse(&reject))?;
        let mut agent = ask.agent;
        if ask.force {
            let id = self.order_agent(caller, Command::TerminateAgent { agent, grace }).await?;
            self.wait_agent(id, |agent| agent.is_terminated().then_some(Ok(()))).await?;
            agent = id.to_string();
        }
        let keep = if ask.keep_workspace { Keep::Workspace } else { Keep::Nothing };
        let id = self.order_agent(caller, Command::RemoveAgent { agent, keep }).await?;
        self.wait_removed(id).await?;
        Ok(Response::new(v1::DeleteAgentResponse {}))
    }

    type SendInputStream = super::input::InputStream;

    async fn send_input(
        &self,
        request: Request<Streaming<v1::SendInputRequest>>,
    ) -> Result<Response<Self::SendInputStream>, Status> {
        let caller = Self::caller(&request)?;
        self.take_input(caller, request.into_inner()).await.map(Response::new)
    }

    type TailAgentLogsStream = super::logs::LogStream;

    async fn tail_agent_logs(
        &self,
        request: Request<v1::TailAgentLogsRequest>,
    ) -> Result<Response<Self::TailAgentLogsStream>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        self.agent_logs(caller, ask).await.map(Response::new)
    }
}

/// The agent that a command concerned.
fn agent_of(done: Done) -> AgentId {
    match done {
        Done::Agent(id) => id,
        Done::Task(_)
        | Done::Same(_)
        | Done::Secret(_)
        | Done::Run(_)
        | Done::SameRun(_)
        | Done::Workflow(_)
        | Done::SameWorkflow(_)
        | Done::Daemon => AgentId(0),
    }
}

pub(crate) fn page_start(token: &str) -> Result<Option<AgentId>, Reject> {
    if token.is_empty() {
        return Ok(None);
    }
    let invalid = || Reject::FieldInvalid {
        field: "page_token",
        value: token.to_owned(),
        expected: "the next_page_token of the page before",
    };
    AgentId::parse(token).map(Some).ok_or_else(invalid)
}

impl Door {
    pub(crate) async fn order_agent(&self, caller: Caller, command: Command) -> Result<AgentId, Status> {
        let done = self.engine.ask(caller, command, None, |_, _, done| agent_of(done)).await;
        done.map_err(|reject| refuse(&reject))
    }

    /// Carries out a command that concerns a group; its members when the new ones are up.
    async fn order_group(&self, caller: Caller, command: Command) -> Result<Vec<v1::Agent>, Status> {
        let group = |state: &State, _: Time, done: Done| {
            let Some(one) = state.agent(agent_of(done)) else { return Vec::new() };
            let name = one.spec.group.as_ref().unwrap_or(&one.spec.name);
            scale::members(state, one.owner, name).into_iter().map(|agent| agent.id).collect()
        };
        let ids = self.engine.ask(caller, command, None, group).await;
        let ids: Vec<AgentId> = ids.map_err(|reject| refuse(&reject))?;
        let mut agents = Vec::with_capacity(ids.len());
        for id in ids {
            agents.push(self.wait_ready(id).await?.into_inner());
        }
        Ok(agents)
    }

    /// Refuses limits that the agent's tree cannot be put under while it lives.
    async fn check_limits_live(
        &self,
        caller: Caller,
        text: String,
        change: LimitsChange,
    ) -> Result<(), Status> {
        let look = move |state: &State, _: Time| {
            let agent = state.find_agent(caller, &text)?;
            Ok((agent.spec.name.clone(), agent.spec.limits, agent.spec.recipe.backend.clone()))
        };
        let found = self.engine.look(look).await.and_then(|found: Result<_, Reject>| found);
        let (name, present, backend) = found.map_err(|reject| refuse(&reject))?;
        let wanted = change.applied_to(present);
        let checked = self.runtime.check_limits(&backend, &present, &wanted);
        checked.map_err(|limit| refuse(&Reject::LimitFixed { agent: name, limit }))
    }

    /// Waits until `check` says something of the agent, then shows it.
    async fn wait_agent(
        &self,
        id: AgentId,
        check: impl Fn(&fusion_core::Agent) -> Option<Result<(), Reject>> + Send + 'static,
    ) -> Result<Response<v1::Agent>, Status> {
        let look = move |state: &State| {
            let Some(agent) = state.agent(id) else {
                return Some(Err(Reject::AgentNotFound { agent: id.to_string() }));
            };
            let now = agent.life.since();
            check(agent).map(|done| done.map(|()| view::agent::agent(state, agent, now)))
        };
        let found = self.engine.wait(Key::Agent(id), look).await.and_then(|found| found);
        let agent = found.map_err(|reject| refuse(&reject))?;
        Ok(Response::new(self.named_agent(agent)))
    }

    /// Waits until the agent is up, or until it is known that it will not be soon.
    async fn wait_ready(&self, id: AgentId) -> Result<Response<v1::Agent>, Status> {
        self.wait_agent(id, move |agent| {
            let failed = || {
                let reason = agent.trouble.clone().unwrap_or_else(|| "it was terminated".to_owned());
                let agent_name = agent.spec.name.clone();
                Some(Err(match agent.seeded {
                    Seeded::Failed => Reject::SeedFailed { agent: agent_name, reason },
                    Seeded::Nothing | Seeded::Due | Seeded::Done { .. } => {
                        Reject::SpawnFailed { agent: agent_name, reason }
                    }
                }))
            };
            match &agent.life {
                AgentLife::Starting { .. } | AgentLife::Seeding { .. } | AgentLife::Stopping { .. } => None,
                AgentLife::Idle { .. }
                | AgentLife::Busy { .. }
                | AgentLife::Waiting { .. }
                | AgentLife::Draining { .. }
                | AgentLife::Paused { .. } => Some(Ok(())),
                AgentLife::Backoff { .. } | AgentLife::Quarantined { .. } | AgentLife::Terminated { .. } => {
                    failed()
                }
            }
        })
        .await
    }

    pub(crate) fn plan_spawn(
        &self,
        caller: Caller,
        ask: v1::CreateAgentRequest,
    ) -> Result<SpawnAgent, Reject> {
        let (owner, owner_name) = self.owner(caller, &ask.user)?;
        self.check_fitness(owner, &owner_name)?;
        if ask.profile.is_empty() {
            return Err(Reject::FieldMissing { field: "profile" });
        }
        let library = self.keeper.in_force().library;
        let profile = library.get(owner.0, &ask.profile);
        let profile = profile.ok_or_else(|| profile_not_found(&library, owner.0, ask.profile.clone()))?;
        if profile.kind != Kind::Exec {
            let kind = profile.kind.word().to_owned();
            return Err(Reject::ProfileKind { profile: profile.name.clone(), kind });
        }
        let command = plan_command(profile, &ask.command)?;
        let sandbox = plan_sandbox(profile, &ask.sandbox)?;
        let disk_bytes = ask.limits.and_then(|limits| limits.disk_bytes).or(profile.disk_bytes);
        let limits = plan_limits(ask.limits)?;
        let backend = self.runtime.choose_backend(&limits)?;
        self.runtime.check_bounds(owner, backend)?;
        let backend = runtime::word(backend);
        let env = check_env(ask.env)?;
        let secrets = plan_uses(ask.secrets, &env)?;
        let seed = super::seed::plan(ask.seed)?;
        let request = super::submit::request_hash(owner, &ask.request_id);
        let name = if ask.name.is_empty() { self.make_name(profile, request)? } else { ask.name };
        let capabilities = profile.capabilities.iter().cloned().chain(ask.capabilities).collect();
        let mut recipe = Recipe {
            command,
            sandbox,
            path: ask.path,
            lang: ask.lang,
            backend: backend.to_owned(),
            workspace: self.paths.workspaces.join(&owner_name).to_string_lossy().into_owned(),
            ..profile.recipe()
        };
        recipe.env.extend(env);
        let spec = AgentSpec {
            name,
            profile: profile.name.clone(),
            capabilities,
            restart: plan_restart(ask.restart),
            limits,
            idle_timeout: profile.idle_timeout,
            group: None,
            stay: Stay::default(),
            retention: None,
            recipe,
            secrets,
            seed,
            disk_bytes,
        };
        Ok(SpawnAgent { id: AgentId(0), owner, owner_name, spec, request })
    }

    /// The owner of something new: the caller, or whom an admin names.
    pub(crate) fn owner(&self, caller: Caller, user: &str) -> Result<(Uid, String), Reject> {
        if user.is_empty() {
            return Ok((caller.uid, self.names.name(caller.uid.0)));
        }
        let unknown = || Reject::UserNotFound { user: user.to_owned() };
        let uid = self.names.uid(user).ok().flatten().ok_or_else(unknown)?;
        if Uid(uid) != caller.uid && caller.rights != Rights::Admin {
            return Err(Reject::NotPermitted {
                who: caller.actor().to_string(),
                what: "acting for other users",
            });
        }
        if !self.paths.serves_all() && uid != self.paths.uid {
            let reason = "this daemon runs without root and serves one user".to_owned();
            return Err(Reject::UserUnfit { user: user.to_owned(), reason });
        }
        Ok((Uid(uid), self.names.name(uid)))
    }

    /// Root starts nothing for accounts that are meant for nobody's work.
    fn check_fitness(&self, owner: Uid, name: &str) -> Result<(), Reject> {
        if !self.paths.serves_all() || owner.0 == self.paths.uid {
            return Ok(());
        }
        let user = self.names.user(owner.0).ok().flatten();
        match unfitness(owner.0, user.as_ref(), self.keeper.in_force().config.nologin_users) {
            Some(reason) => Err(Reject::UserUnfit { user: name.to_owned(), reason }),
            None => Ok(()),
        }
    }

    fn make_name(&self, profile: &Profile, request: u64) -> Result<String, Reject> {
        let mut draw = request;
        if draw == 0 {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes).map_err(|_| Reject::Stopping)?;
            draw = u64::from_le_bytes(bytes);
        }
        Ok(format!("{}-{:06x}", profile.name, draw & 0xFF_FFFF))
    }
}
