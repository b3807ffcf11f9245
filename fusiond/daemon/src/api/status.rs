//! What `system status` shows: counts, rates, limits, and what needs somebody, from the state in memory.
//!
//! Not for: what holds on this machine (`crate::health`).

use super::Door;
use super::refuse::refuse;
use super::view::timestamp;
use crate::turns::Turns;
use fusion_core::index::{Counts, Lanes, UserIndex};
use fusion_core::input::Intake;
use fusion_core::workspace::quota::Excess;
use fusion_core::{Agent, Caller, Millis, Rights, State, TaskId, TaskState, Time};
use fusion_proto::v1;
use tonic::Status;

/// Rates are over this long.
const RATE_WINDOW: Millis = Millis::from_secs(60);

/// Failures older than this were seen.
const FAILURES_WINDOW: Millis = Millis::from_secs(3600);

/// Of one user at once; others of theirs wait: what began and ended of late is looked through on the engine's thread.
static COUNTS: Turns = Turns::new(1);

impl Door {
    /// The whole answer; who may administer sees every user in it.
    pub(super) async fn status(&self, caller: Caller) -> Result<v1::Status, Status> {
        let _turn = COUNTS.take(caller.uid).await;
        let status = self.engine.look(move |state, now| counts(state, caller, now)).await;
        let mut status = status.map_err(|reject| refuse(&reject))?;
        for user in &mut status.users {
            user.user = self.name_of(&user.user);
        }
        let paths = &self.paths;
        let free = rustix::fs::statvfs(&paths.store).map_or(0, |found| found.f_bavail * found.f_frsize);
        let floor = self.keeper.in_force().config.store.free_floor_bytes;
        if free < floor {
            let text = format!(
                "no room: {} MiB are free where the state lies, new work is refused below {} MiB: `df -h {}`",
                free >> 20,
                floor >> 20,
                paths.store.display()
            );
            status.attention.insert(0, text);
        }
        if !self.recovered.is_empty() {
            status.attention.push(format!("{}: look at the disk: `dmesg | tail`", self.recovered));
        }
        Ok(v1::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: paths.mode.word().to_owned(),
            start_time: Some(timestamp(self.started_at)),
            pid: std::process::id(),
            backend: self.runtime.probe().backend.to_owned(),
            state_dir: paths.state.to_string_lossy().into_owned(),
            free_bytes: free,
            memory_bytes: resident_bytes(),
            recovered: self.recovered.clone(),
            ..status
        })
    }
}

/// How much there is of what a caller may see, by the words of states.
struct Seen {
    agents: Counts,
    tasks: Counts,
    running: u32,
}

impl Seen {
    fn of(state: &State, caller: Caller) -> Self {
        let index = state.index();
        let running = match caller.rights {
            Rights::Admin => index.running,
            Rights::User | Rights::Agent(_) => index.users.get(&caller.uid).map_or(0, |user| user.running),
        };
        let mut seen = Self { agents: Counts::new(), tasks: Counts::new(), running };
        for (_, words) in index.words.iter().filter(|(owner, _)| State::sees(caller, **owner)) {
            add(&mut seen.agents, &words.agents);
            add(&mut seen.tasks, &words.tasks);
        }
        seen
    }
}

fn add(sum: &mut Counts, counts: &Counts) {
    for (word, count) in counts {
        *sum.entry(word).or_default() += count;
    }
}

fn counts(state: &State, caller: Caller, now: Time) -> v1::Status {
    let words = |words: &Counts| words.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect();
    let seen = Seen::of(state, caller);
    let (submitted_per_second, ended_per_second) = rates(state, caller, now);
    v1::Status {
        epoch: state.meta.epoch,
        agents: words(&seen.agents),
        tasks: words(&seen.tasks),
        running: seen.running,
        max_running: state.config.running_max,
        draining: state.meta.intake == Intake::Closed,
        last_seq: state.seq,
        attention: attention(state, caller, &seen, now),
        users: users(state, caller),
        submitted_per_second,
        ended_per_second,
        ..v1::Status::default()
    }
}

/// Every user with agents or tasks, by uid; nobody else's for who is no admin.
fn users(state: &State, caller: Caller) -> Vec<v1::UserStatus> {
    if caller.rights != Rights::Admin {
        return Vec::new();
    }
    let row = |(uid, user): (&fusion_core::Uid, &UserIndex)| {
        let limits = state.config.limits_of(*uid);
        v1::UserStatus {
            user: uid.0.to_string(),
            agents: user.agents,
            max_agents: limits.agents_max,
            running: user.running,
            queued: queued(&user.open) + user.aimed.values().map(queued).sum::<u64>(),
            tasks: user.tasks,
            max_tasks: limits.tasks_max,
        }
    };
    state.index().users.iter().map(row).collect()
}

fn queued(lanes: &Lanes) -> u64 {
    lanes.values().map(|lane| lane.len() as u64).sum()
}

/// Tasks submitted and ended per second. Ended tasks leave the memory: where the window reaches beyond what is
/// remembered, it is shorter.
fn rates(state: &State, caller: Caller, now: Time) -> (f64, f64) {
    let index = state.index();
    let mut since = Time(now.0.saturating_sub(RATE_WINDOW.0));
    let is_full = index.ended.len() >= state.config.ended_in_memory as usize;
    if let Some((oldest, _)) = index.ended.first().filter(|_| is_full) {
        since = since.max(*oldest);
    }
    let seconds = (now.since(since).0.max(1000)) as f64 / 1000.0;
    let ended =
        index.ended.range((since, TaskId(0))..).filter(|(_, id)| sees_task(state, caller, *id)).count();
    let submitted = state.tasks().rev().take_while(|task| task.created_at >= since);
    let submitted = submitted.filter(|task| State::sees(caller, task.owner)).count();
    (submitted as f64 / seconds, ended as f64 / seconds)
}

fn sees_task(state: &State, caller: Caller, id: TaskId) -> bool {
    state.task(id).is_some_and(|task| State::sees(caller, task.owner))
}

/// What needs somebody, worst first.
fn attention(state: &State, caller: Caller, seen: &Seen, now: Time) -> Vec<String> {
    let failures = failures(state, caller, now);
    [
        counted(
            seen.agents.get("quarantined"),
            "agent",
            "quarantined",
            "`fusionctl agent list --state quarantined`, then `fusionctl agent restart`",
        ),
        counted(
            seen.tasks.get("lost"),
            "task",
            "lost",
            "`fusionctl task list --state lost`, then `fusionctl task resolve`",
        ),
        counted(
            seen.tasks.get("waiting_approval"),
            "task",
            "waiting for an approval",
            "`fusionctl task list --state waiting_approval`, then `fusionctl task approve`",
        ),
        counted(
            seen.tasks.get("waiting_input"),
            "task",
            "waiting for an answer",
            "`fusionctl task list --state waiting_input`, then `fusionctl task answer`",
        ),
        counted(
            Some(&asking_runs(state, caller)),
            "run",
            "waiting for a person",
            "`fusionctl workflow list --asking`, then `fusionctl workflow approve`",
        ),
        counted(
            Some(&stranded(state, caller)),
            "task",
            "only for agents that are terminated",
            "`fusionctl why`, then `fusionctl task update --agent any`",
        ),
        counted(
            Some(&failures),
            "task",
            "failed within the last hour",
            "`fusionctl task list --state failed --state timed_out`, `fusionctl why TASK`",
        ),
        counted(
            Some(&beyond_their_disk(state, caller)),
            "agent",
            "kept from work by a disk limit",
            "`fusionctl why AGENT`, then `fusionctl workspace du AGENT`",
        ),
        counted(seen.agents.get("backoff"), "agent", "in backoff", "`fusionctl why AGENT`"),
        (state.meta.intake == Intake::Closed)
            .then(|| "drained: no new attempts begin: `fusionctl system drain --off`".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn counted(count: Option<&u64>, kind: &str, state: &str, remedy: &str) -> Option<String> {
    let count = *count.filter(|count| **count > 0)?;
    let plural = if count == 1 { "" } else { "s" };
    Some(format!("{count} {kind}{plural} {state}: {remedy}"))
}

/// Tasks in memory that failed for good lately.
fn failures(state: &State, caller: Caller, now: Time) -> u64 {
    let since = Time(now.0.saturating_sub(FAILURES_WINDOW.0));
    let ended = state.index().ended.range((since, TaskId(0))..);
    let failed = ended.filter_map(|(_, id)| state.task(*id)).filter(|task| {
        let has_failed = matches!(task.state, TaskState::Failed { .. } | TaskState::TimedOut { .. });
        has_failed && State::sees(caller, task.owner)
    });
    failed.count() as u64
}

/// Runs with a node that stands until somebody approves.
fn asking_runs(state: &State, caller: Caller) -> u64 {
    let open = state.runs().filter(|run| run.state.ended_at().is_none() && State::sees(caller, run.owner));
    open.filter(|run| run.asking().next().is_some()).count() as u64
}

/// Tasks that wait for an agent which never works again.
fn stranded(state: &State, caller: Caller) -> u64 {
    let users = state.index().users.iter().filter(|(uid, _)| State::sees(caller, **uid));
    let aimed = users.flat_map(|(_, user)| &user.aimed);
    let gone = aimed.filter(|(id, _)| state.agent(**id).is_none_or(Agent::is_terminated));
    gone.map(|(_, lanes)| queued(lanes)).sum()
}

/// Agents that take no task because of what their workspaces hold, or hide from a count.
fn beyond_their_disk(state: &State, caller: Caller) -> u64 {
    let beyond = |agent: &&Agent| matches!(agent.excess(), Some(Excess::Over { .. } | Excess::Hidden { .. }));
    let living = state.agents().filter(|agent| !agent.is_terminated() && State::sees(caller, agent.owner));
    living.filter(beyond).count() as u64
}

/// Resident memory of this process: field 2 of proc_pid_statm(5), in pages.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    pages * u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}
