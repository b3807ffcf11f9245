//! `fusionctl why`: exactly what a task or an agent waits for, and what would change that. Answers
//! come from the functions that decide.
//!
//! Not for: history; events and attempts tell that.

use crate::agent::{Agent, AgentLife, Leftovers, Wish};
use crate::delegate;
use crate::failure::FailureCode;
use crate::ids::{AgentId, PROFILE_PREFIX, TaskId};
use crate::index::{Demand, UserIndex};
use crate::input::Intake;
use crate::pool;
use crate::state::State;
use crate::task::{Active, DeferWhy, Held, Phase, Question, QuestionKind, Task, TaskState, Wait};
use crate::time::Time;
use crate::workspace::quota::Excess;

/// The answer to `why`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// One sentence.
    pub summary: String,
    /// Everything that is waited for; empty when nothing is.
    pub reasons: Vec<Reason>,
}

/// One thing that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Stable word.
    pub code: &'static str,
    /// What is the case.
    pub text: String,
    /// What would change it; empty: only time.
    pub remedy: String,
}

impl Reason {
    pub(crate) fn new(code: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, text: text.into(), remedy: remedy.into() }
    }
}

fn answer(summary: impl Into<String>, reasons: Vec<Reason>) -> Explanation {
    Explanation { summary: summary.into(), reasons }
}

/// Why a task is where it is.
#[must_use]
pub fn explain_task(state: &State, id: TaskId, now: Time) -> Option<Explanation> {
    let task = state.task(id)?;
    Some(match &task.state {
        TaskState::Blocked { on } => blocked(state, on),
        TaskState::Deferred { until, why } => deferred(state, task, (*until, *why), now),
        TaskState::Held(held) => explain_held(state, task, held, now),
        TaskState::Queued { .. } => {
            let reasons = queued(state, task);
            match reasons.first() {
                Some(first) => answer(first.text.clone(), reasons.clone()),
                None => answer("it is next", reasons),
            }
        }
        TaskState::Active(active) => {
            answer(active_summary(state, task, active), active_reasons(state, task, active))
        }
        TaskState::Lost { failure, .. } => answer(
            failure.message.clone(),
            vec![Reason::new(
                failure.code.code(),
                failure.code.meaning(),
                format!(
                    "look at what it did (`fusionctl task logs {id}`), then `fusionctl task resolve {id} --retry|--fail|--succeed`"
                ),
            )],
        ),
        TaskState::Succeeded { .. } => answer("it is done", Vec::new()),
        TaskState::Failed { failure, .. } | TaskState::TimedOut { failure, .. } => answer(
            failure.message.clone(),
            vec![Reason::new(failure.code.code(), failure.code.meaning(), task.hint(failure.code))],
        ),
        TaskState::Cancelled { .. } => answer(
            "somebody cancelled it",
            vec![Reason::new("cancelled", "it will not run", task.hint(FailureCode::Cancelled))],
        ),
    })
}

/// What holds it, and what it would wait for besides.
fn explain_held(state: &State, task: &Task, held: &Held, now: Time) -> Explanation {
    let ago = now.since(held.since);
    let (text, remedy) = match held.run {
        None => (
            format!("it was held {ago} ago and waits to be released"),
            format!("`fusionctl task release {}`", task.id),
        ),
        Some(run) => (
            format!("it stands still with run {run}, which was paused {ago} ago"),
            format!("`fusionctl workflow resume {run}`"),
        ),
    };
    let mut reasons = vec![Reason::new("held", text.clone(), remedy)];
    match &held.wait {
        Wait::Tasks { on } => reasons.extend(blocked(state, on).reasons),
        Wait::Instant { until, why } if *until > now => {
            reasons.extend(deferred(state, task, (*until, *why), now).reasons);
        }
        Wait::Instant { .. } | Wait::Agent { .. } => {}
    }
    answer(text, reasons)
}

fn blocked(state: &State, on: &[TaskId]) -> Explanation {
    let reasons = on.iter().map(|needed| blocked_by(state, *needed)).collect();
    answer(format!("it comes after {} task(s) that have not ended", on.len()), reasons)
}

fn blocked_by(state: &State, needed: TaskId) -> Reason {
    let word = state.task(needed).map_or("gone", |task| task.state.word());
    Reason::new("dependency", format!("{needed} is {word}"), format!("`fusionctl why {needed}`"))
}

fn deferred(state: &State, task: &Task, (until, why): (Time, DeferWhy), now: Time) -> Explanation {
    let wait = until.since(now);
    let last = task.attempts.last().and_then(|attempt| attempt.ending.as_ref());
    let last = last.and_then(|ended| ended.failure.as_ref()).map_or("", |failure| failure.message.as_str());
    let text = match why {
        DeferWhy::NotBefore => format!("it was asked not to run before another {wait}"),
        DeferWhy::Retry => format!("it failed ({last}) and is tried again in {wait}"),
        DeferWhy::Snooze => format!("it asked to be run again later, which is in {wait}"),
    };
    let remedy = match why {
        DeferWhy::NotBefore => format!("`fusionctl task update {} --not-before none`", task.id),
        DeferWhy::Retry | DeferWhy::Snooze => String::new(),
    };
    let mut reasons = vec![Reason::new("deferred", text.clone(), remedy)];
    // What will keep it from starting then is mended sooner than it is found out.
    let (fitting, others) = by_fit(state, task);
    if fitting.is_empty() && pool::outlook(state, task).is_none() {
        reasons.push(nobody_fits(state, task, &others));
    }
    answer(text, reasons)
}

/// The agents of its owner that could do a task, and those that could not.
fn by_fit<'a>(state: &'a State, task: &Task) -> (Vec<&'a Agent>, Vec<&'a Agent>) {
    state
        .agents()
        .filter(|agent| agent.owner == task.owner && !agent.is_terminated())
        .filter(|agent| agent.errand().is_none_or(|errand| errand == task.id))
        .partition(|agent| delegate::fits(agent, task))
}

fn queued(state: &State, task: &Task) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if state.meta.intake == Intake::Closed {
        reasons.push(Reason::new(
            "draining",
            "the daemon is drained: no new attempts begin",
            "`fusionctl system drain --off`",
        ));
    }
    if let Some(holder) = holder(state, task) {
        reasons.push(Reason::new(
            "concurrency_key",
            format!("{holder} with the same concurrency key runs"),
            format!("wait, or `fusionctl task cancel {holder}`"),
        ));
        return reasons;
    }
    let (fitting, others) = by_fit(state, task);
    let is_free = fitting.iter().any(|agent| state.is_free(agent));
    let pool = pool::outlook(state, task).filter(|_| !is_free);
    if fitting.is_empty() {
        reasons.push(pool.unwrap_or_else(|| nobody_fits(state, task, &others)));
    } else if !is_free {
        let taken = all_taken(&fitting);
        reasons.extend(match pool {
            Some(pool) if pool.code == "pool_starting" => vec![pool, taken],
            pool => std::iter::once(taken).chain(pool).collect(),
        });
    } else if !delegate::has_slot(state) {
        let max = state.config.running_max;
        reasons.push(Reason::new(
            "slots",
            format!("all {max} slots are taken"),
            "wait, or raise limits.max_running",
        ));
    }
    reasons
}

/// The active task with the same concurrency key.
fn holder(state: &State, task: &Task) -> Option<TaskId> {
    let key = task.spec.concurrency_key.as_ref()?;
    state.index.users.get(&task.owner)?.gates.get(key)?.holder
}

fn nobody_fits(state: &State, task: &Task, others: &[&Agent]) -> Reason {
    let wanted = &task.spec.capabilities;
    if let Some(target) = task.spec.target {
        let word = state.agent(target).map_or("gone", |agent| agent.life.word());
        let lacks = state.agent(target).map(|agent| wanted.missing_from(&agent.spec.capabilities).join(", "));
        let text = match lacks.filter(|lacks| !lacks.is_empty()) {
            Some(lacks) => format!("it may only run on {target}, which lacks: {lacks}"),
            None => format!("it may only run on {target}, which is {word}"),
        };
        let remedy = format!("`fusionctl task update {} --agent any`, or another agent", task.id);
        return Reason::new("agent", text, remedy);
    }
    let remedy = spawn_for(state, task);
    if others.is_empty() {
        return Reason::new("no_agent", "its owner has no agent", remedy);
    }
    let nearest = others.iter().min_by_key(|agent| wanted.missing_from(&agent.spec.capabilities).len());
    let nearest = nearest.map_or(String::new(), |agent| {
        let lacks = wanted.missing_from(&agent.spec.capabilities).join(", ");
        format!("; the nearest, {}, lacks: {lacks}", agent.spec.name)
    });
    Reason::new("capabilities", format!("no agent offers all of: {wanted}{nearest}"), remedy)
}

/// What starts an agent that can do this: one of a profile that the task names or that offers all it asks for, else one
/// that is told what to offer.
fn spawn_for(state: &State, task: &Task) -> String {
    let wanted = &task.spec.capabilities;
    let pools = state.config.pools.of(task.owner).iter();
    let suits =
        |(_, pool): &(&String, &pool::Pool)| !wanted.is_empty() && wanted.within(&pool.spec.capabilities);
    // Those that can do nothing besides come first.
    let mut whole: Vec<_> =
        pools.filter(suits).map(|(name, pool)| (pool.spec.capabilities.len(), name.as_str())).collect();
    whole.sort_unstable();
    if let Some(((_, first), others)) = whole.split_first() {
        let others = others.iter().map(|(_, name)| format!(", or --profile {name}")).collect::<String>();
        return format!("`fusionctl agent spawn --profile {first}`{others}");
    }
    let profile = wanted.profiles().next().unwrap_or("shell");
    let plain = wanted.iter().filter(|name| !name.starts_with(PROFILE_PREFIX));
    let spawn = plain.map(|name| format!(" --capability {name}")).collect::<String>();
    format!("`fusionctl agent spawn --profile {profile}{spawn}`")
}

fn all_taken(fitting: &[&Agent]) -> Reason {
    let quota = fitting.iter().find_map(|agent| Some((*agent, over_quota(agent)?)));
    if let (Some((agent, excess)), true) = (quota, fitting.iter().all(|agent| over_quota(agent).is_some())) {
        let text = format!("no fitting agent may work: {}: {}", agent.spec.name, excess.words());
        return Reason::new(excess.code(), text, excess.remedy(agent));
    }
    let words: Vec<String> =
        fitting.iter().take(3).map(|agent| format!("{} is {}", agent.spec.name, what_keeps(agent))).collect();
    let more = match fitting.len() {
        0..=3 => String::new(),
        n => format!(" and {} more", n - 3),
    };
    let paused = fitting.iter().find(|agent| matches!(agent.life, AgentLife::Paused { .. }));
    let quarantined = fitting.iter().find(|agent| matches!(agent.life, AgentLife::Quarantined { .. }));
    let remedy = match (paused, quarantined) {
        (Some(agent), _) => format!("{}, or wait for another", resume(agent)),
        (None, Some(agent)) => format!("`fusionctl agent restart {}`, or wait for another", agent.spec.name),
        (None, None) => "wait, or spawn one more agent".to_owned(),
    };
    Reason::new("agents_busy", format!("no fitting agent is free: {}{more}", words.join(", ")), remedy)
}

/// What lets a paused agent go on.
fn resume(agent: &Agent) -> String {
    match agent.frozen_for {
        None => format!("`fusionctl agent resume {}`", agent.spec.name),
        Some(run) => format!("`fusionctl workflow resume {run}`"),
    }
}

/// An idle agent that is kept from work by its disk limit.
fn over_quota(agent: &Agent) -> Option<Excess> {
    agent.excess().filter(|_| matches!(agent.life, AgentLife::Idle { .. }))
}

/// The word for why an agent takes nothing; of idle ones only those that may not work or are still looked for come here.
fn what_keeps(agent: &Agent) -> &'static str {
    match &agent.life {
        AgentLife::Idle { .. } => match agent.excess() {
            Some(Excess::Uncounted) => "idle while its workspace is counted",
            Some(Excess::Over { .. } | Excess::Hidden { .. }) => "over its disk limit",
            None => "being found again after a start of the daemon",
        },
        AgentLife::Starting { .. }
        | AgentLife::Seeding { .. }
        | AgentLife::Busy { .. }
        | AgentLife::Waiting { .. }
        | AgentLife::Draining { .. }
        | AgentLife::Paused { .. }
        | AgentLife::Backoff { .. }
        | AgentLife::Quarantined { .. }
        | AgentLife::Stopping { .. }
        | AgentLife::Terminated { .. } => agent.life.word(),
    }
}

fn active_summary(state: &State, task: &Task, active: &Active) -> String {
    let agent = task.lease().map(|lease| lease.agent);
    let name = agent.and_then(|id| state.agent(id)).map_or("an agent", |agent| agent.spec.name.as_str());
    let number = task.attempts.len();
    if let Some(question) = active.open_question() {
        return format!("attempt {number} on {name} asks for {}: {}", question.kind.word(), question.text);
    }
    match (active.stop, active.phase) {
        (Some(_), _) => format!("attempt {number} on {name} is being ended"),
        (None, Phase::Dispatched) => format!("attempt {number} was given to {name}"),
        (None, Phase::Running { .. }) => format!("attempt {number} runs on {name}"),
    }
}

fn active_reasons(state: &State, task: &Task, active: &Active) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let agent = task.lease().and_then(|lease| state.agent(lease.agent));
    if let Some(agent) = agent
        && matches!(agent.life, AgentLife::Paused { .. })
    {
        let text = match agent.frozen_for {
            Some(run) => format!("{} stands still as run {run} was frozen", agent.spec.name),
            None => format!("{} is paused", agent.spec.name),
        };
        reasons.push(Reason::new("paused", text, resume(agent)));
    }
    if let Some(question) = active.open_question() {
        reasons.push(asks(task.id, question));
    }
    if active.stop.is_some() {
        reasons.push(Reason::new("ending", "SIGTERM was sent; after the grace everything is killed", ""));
    }
    reasons
}

fn asks(task: TaskId, question: &Question) -> Reason {
    let remedy = match question.kind {
        QuestionKind::Approval => {
            format!("`fusionctl task approve {task}`, or `fusionctl task approve {task} --reject`")
        }
        QuestionKind::Input => format!("`fusionctl task answer {task} TEXT`"),
    };
    Reason::new("question", format!("it asks for {}: {}", question.kind.word(), question.text), remedy)
}

/// Why an agent is what it is.
#[must_use]
pub fn explain_agent(state: &State, id: AgentId, now: Time) -> Option<Explanation> {
    let agent = state.agent(id)?;
    let trouble = agent.trouble.clone().unwrap_or_else(|| "its shim ended".to_owned());
    let name = &agent.spec.name;
    Some(match &agent.life {
        AgentLife::Starting { .. } => answer("its shim is being started", Vec::new()),
        AgentLife::Seeding { .. } => {
            let source = agent.spec.seed.as_ref().map_or("nothing", |seed| seed.source.as_str());
            answer(format!("its workspace is being seeded from {source}"), Vec::new())
        }
        AgentLife::Idle { .. } => idle(state, agent),
        AgentLife::Busy { work, .. } => answer(format!("it works on {}", work.task), Vec::new()),
        AgentLife::Waiting { work, reason, .. } => {
            let question = state.task(work.task).and_then(Task::open_question);
            let reasons = question.into_iter().map(|question| asks(work.task, question)).collect();
            answer(format!("{} asks for {}", work.task, reason.word()), reasons)
        }
        AgentLife::Draining { work, .. } => answer(
            match agent.wish {
                Wish::End => format!("it is ended when {} has ended", work.task),
                Wish::Pause | Wish::Run => format!("it is paused when {} has ended", work.task),
            },
            vec![Reason::new(
                "draining",
                format!("{} still runs", work.task),
                format!("`fusionctl agent resume {name}`"),
            )],
        ),
        AgentLife::Paused { .. } => {
            let text = match agent.frozen_for {
                None => "it was paused".to_owned(),
                Some(run) => format!("run {run} was frozen"),
            };
            answer(text, vec![Reason::new("paused", "its whole tree stands still", resume(agent))])
        }
        AgentLife::Backoff { until, .. } => answer(
            format!("{trouble}; it is started again in {}", until.since(now)),
            vec![Reason::new(
                "backoff",
                trouble,
                format!("`fusionctl agent restart {name}` starts it at once"),
            )],
        ),
        AgentLife::Quarantined { .. } => answer(
            format!("it crashed {} times: {trouble}", agent.crashes.len()),
            vec![Reason::new(
                "quarantined",
                trouble,
                format!("`fusionctl agent restart {name}` lifts the quarantine"),
            )],
        ),
        AgentLife::Stopping { kill_at, .. } => {
            answer(format!("it is being ended; the kill comes in {}", kill_at.since(now)), Vec::new())
        }
        AgentLife::Terminated { leftovers, .. } => {
            let until = agent.due(state.config.retention).unwrap_or(now);
            over(agent, until, *leftovers, now)
        }
    })
}

/// What is left of a terminated agent, and for how long.
fn over(agent: &Agent, until: Time, leftovers: Leftovers, now: Time) -> Explanation {
    let summary =
        agent.trouble.as_ref().map_or_else(|| "it is over".to_owned(), |why| format!("it is over: {why}"));
    let remedy = format!("`fusionctl agent remove {}`", agent.id);
    let wait = until.since(now);
    let (code, text) = match leftovers {
        Leftovers::Kept => ("kept", format!("workspace, logs and record are kept for another {wait}")),
        Leftovers::Bare => ("kept", format!("logs and record are kept for another {wait}")),
        Leftovers::Removing | Leftovers::Sparing | Leftovers::Clearing => {
            ("removing", "what it left is being removed".to_owned())
        }
    };
    answer(summary, vec![Reason::new(code, text, remedy)])
}

fn nothing_queued() -> Explanation {
    answer("no task is queued for it", Vec::new())
}

/// A task that it could take if no other with the same concurrency key were active.
fn behind_gate(user: &UserIndex, agent: &Agent) -> Option<Explanation> {
    user.gates.values().find_map(|gate| {
        let holder = gate.holder?;
        let fits = |(target, wanted): &&Demand| {
            target.is_none_or(|target| target == agent.id) && wanted.within(&agent.spec.capabilities)
        };
        let demand = gate.waiting.keys().find(fits)?;
        let (_, task) = gate.waiting.get(demand)?.first()?;
        let text = format!("{task} waits for {holder}, which has the same concurrency key");
        let reason = Reason::new("concurrency_key", text.clone(), format!("`fusionctl why {task}`"));
        Some(answer(text, vec![reason]))
    })
}

/// What an idle agent waits for: the queued task that it comes nearest to.
fn idle(state: &State, agent: &Agent) -> Explanation {
    if let Some(excess) = agent.excess() {
        let reason = Reason::new(excess.code(), excess.words(), excess.remedy(agent));
        return answer(format!("no task is started on it: {}", excess.words()), vec![reason]);
    }
    if !state.is_free(agent) {
        return answer("its shim is being found again after a start of the daemon", Vec::new());
    }
    let offered = &agent.spec.capabilities;
    let user = state.index.users.get(&agent.owner);
    let open = user.into_iter().flat_map(|user| &user.open);
    let aimed = user.and_then(|user| user.aimed.get(&agent.id)).into_iter().flatten();
    let heads = open.chain(aimed).filter_map(|(wanted, lane)| Some((lane.first()?, wanted)));
    let Some((place, wanted)) = heads.min_by_key(|(place, wanted)| (!wanted.within(offered), *place)) else {
        return user.and_then(|user| behind_gate(user, agent)).unwrap_or_else(nothing_queued);
    };
    let task = place.1;
    let lacks = wanted.missing_from(offered).join(", ");
    let (code, text) = match (lacks.is_empty(), state.meta.intake) {
        (false, _) => ("capabilities", format!("{task} waits, but this agent lacks: {lacks}")),
        (true, Intake::Closed) => ("draining", format!("{task} waits, but the daemon is drained")),
        (true, Intake::Open) => ("slots", format!("{task} waits for a slot")),
    };
    answer(text.clone(), vec![Reason::new(code, text, format!("`fusionctl why {task}`"))])
}
