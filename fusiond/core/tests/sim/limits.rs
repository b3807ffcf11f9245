//! The limits, each at its edge, and news that no honest shim brings.
//!
//! Not for: the words of the refusals (`tables`).

use crate::clients;
use crate::golden::Session;
use fusion_core::agent::RestartPolicy;
use fusion_core::state::UserLimits;
use fusion_core::step::Done;
use fusion_core::task::SubmitTask;
use fusion_core::task::ending::SNOOZES_MAX;
use fusion_core::task::submit::SUBTASKS_MAX;
use fusion_core::{
    AgentId, Caller, Capabilities, Command, Config, Input, Millis, Outcome, Reject, Rights, State, TaskId,
    Time, Turn, Uid, step,
};

const ME: Caller = Caller { uid: Uid(1000), rights: Rights::User };

/// Asks; the code of the refusal, or an empty text.
fn ask(state: &mut State, caller: Caller, command: Command) -> &'static str {
    let turn = Turn { now: Time(1), seed: 1 };
    let input = Input::Command { caller, command };
    step(state, &mut Default::default(), turn, input).map_or_else(|reject| reject.code(), |_| "")
}

fn hear(state: &mut State, outcome: Outcome) {
    let turn = Turn { now: Time(1), seed: 1 };
    step(state, &mut Default::default(), turn, Input::Outcome(outcome)).expect("an outcome is not refused");
}

fn spawn(nth: u128, uid: u32) -> Command {
    let (id, owner) = (AgentId(nth), Uid(uid));
    let restart = RestartPolicy::default();
    let name = format!("a{nth}");
    Command::SpawnAgent(Box::new(clients::spawn(id, owner, name, Capabilities::default(), restart, 0)))
}

fn submit(nth: u128, change: impl FnOnce(&mut SubmitTask)) -> Command {
    let mut ask = clients::submit(TaskId(nth), ME.uid);
    change(&mut ask);
    Command::SubmitTask(Box::new(ask))
}

fn shim_up(highest_started: u32, incarnation: u32) -> Outcome {
    let (agent, running, exits, frozen) = (AgentId(1), None, Vec::new(), false);
    Outcome::ShimUp { agent, incarnation, highest_started, running, exits, frozen }
}

/// One agent, `1`, that works on one task, `1`.
fn at_work() -> State {
    let mut state = State::default();
    assert_eq!(ask(&mut state, ME, spawn(1, 1000)), "");
    hear(&mut state, shim_up(0, 1));
    assert_eq!(ask(&mut state, ME, submit(1, |_| {})), "");
    state
}

#[test]
fn agents_are_limited_for_one_user_and_overall() {
    let per_user = UserLimits { agents_max: 2, tasks_max: 2 };
    let config = Config { agents_max: 3, per_user, ..Config::default() };
    let mut state = State::load(config, None, 0, Vec::new(), Vec::new());
    let admin = clients::admin();
    assert_eq!(ask(&mut state, admin, spawn(1, 1000)), "");
    assert_eq!(ask(&mut state, admin, spawn(2, 1000)), "");
    assert_eq!(ask(&mut state, admin, spawn(3, 1000)), "user_agent_limit");
    assert_eq!(ask(&mut state, admin, spawn(3, 1001)), "");
    assert_eq!(ask(&mut state, admin, spawn(4, 1001)), "agent_limit");
    assert_eq!(ask(&mut state, admin, spawn(5, 0)), "root_agents");
}

#[test]
fn unfinished_tasks_are_limited_for_one_user() {
    let per_user = UserLimits { agents_max: 2, tasks_max: 2 };
    let mut state = State::load(Config { per_user, ..Config::default() }, None, 0, Vec::new(), Vec::new());
    assert_eq!(ask(&mut state, ME, submit(1, |_| {})), "");
    assert_eq!(ask(&mut state, ME, submit(2, |_| {})), "");
    assert_eq!(ask(&mut state, ME, submit(3, |_| {})), "queue_full");
    let cancel = Command::CancelTask { task: TaskId(1).to_string(), grace: Millis(0) };
    assert_eq!(ask(&mut state, ME, cancel), "");
    assert_eq!(ask(&mut state, ME, submit(3, |_| {})), "");
}

#[test]
fn values_are_checked_at_their_edges() {
    let mut state = State::default();
    let mut code = |change: fn(&mut SubmitTask)| ask(&mut state, ME, submit(1, change));
    assert_eq!(code(|task| task.priority = 10), "priority_invalid");
    assert_eq!(code(|task| task.retries = 1001), "retry_limit");
    assert_eq!(code(|task| task.key = "k".repeat(256)), "key_invalid");
    assert_eq!(code(|task| task.key = "a\nb".to_owned()), "key_invalid");
    assert_eq!(code(|task| task.labels = vec![("k".into(), "v".into()); 65]), "label_limit");
    assert_eq!(code(|task| task.labels = vec![("a=b".into(), String::new())]), "label_invalid");
    assert_eq!(code(|task| task.labels = vec![(String::new(), String::new())]), "label_invalid");
    assert_eq!(code(|task| task.capabilities = ["a b"].into_iter().collect()), "capability_invalid");
    assert_eq!(code(|task| task.capabilities = (0..65).map(|n| n.to_string()).collect()), "capability_limit");
    assert_eq!(code(|task| task.after = vec!["tsk_1".to_owned(); 1001]), "dependency_limit");
    assert_eq!(code(|task| task.agent = "nobody".to_owned()), "agent_not_found");
    assert_eq!(code(|task| task.owner = Uid(1001)), "not_permitted");
    assert_eq!(code(|task| (task.priority, task.retries) = (9, 1000)), "");
}

#[test]
fn names_are_plain_and_unique_for_their_owner() {
    let mut state = State::default();
    let mut named = |nth, name: &str| {
        let (id, owner) = (AgentId(nth), ME.uid);
        let restart = RestartPolicy::default();
        let ask_for = clients::spawn(id, owner, name.to_owned(), Capabilities::default(), restart, 0);
        ask(&mut state, ME, Command::SpawnAgent(Box::new(ask_for)))
    };
    for bad in ["", "-a", "a b", "agt_a", "ä", &"a".repeat(64)] {
        assert_eq!(named(1, bad), "name_invalid", "{bad}");
    }
    assert_eq!(named(1, &"a".repeat(63)), "");
    assert_eq!(named(2, &"a".repeat(63)), "name_taken");
}

#[test]
fn a_task_submits_only_so_many_tasks_for_its_own_user() {
    let mut state = at_work();
    let agent = Caller { uid: ME.uid, rights: Rights::Agent(AgentId(1)) };
    for nth in 0..SUBTASKS_MAX {
        assert_eq!(ask(&mut state, agent, submit(100 + u128::from(nth), |_| {})), "");
    }
    assert_eq!(ask(&mut state, agent, submit(99, |_| {})), "subtask_limit");
    let mut state = at_work();
    assert_eq!(ask(&mut state, agent, submit(99, |task| task.owner = Uid(1001))), "not_permitted");
}

#[test]
fn a_repeated_request_is_the_same_agent_and_the_same_task() {
    let mut state = State::default();
    let turn = Turn { now: Time(1), seed: 1 };
    let mut again = |command: Command| {
        let input = Input::Command { caller: ME, command };
        step(&mut state, &mut Default::default(), turn, input)
    };
    let agent = |nth| {
        let name = format!("a{nth}");
        let restart = RestartPolicy::default();
        let ask = clients::spawn(AgentId(nth), ME.uid, name, Capabilities::default(), restart, 7);
        Command::SpawnAgent(Box::new(ask))
    };
    assert_eq!(again(agent(1)), Ok(Done::Agent(AgentId(1))));
    assert_eq!(again(agent(2)), Ok(Done::Agent(AgentId(1))));
    assert_eq!(again(submit(1, |task| task.request = 7)), Ok(Done::Task(TaskId(1))));
    assert_eq!(again(submit(2, |task| task.request = 7)), Ok(Done::Same(TaskId(1))));
    let unknown: Result<Done, Reject> =
        again(Command::RetryTask { task: "tsk_2".to_owned(), recalled: None });
    assert_eq!(unknown.map_err(|reject| reject.code()), Err("task_not_found"));
}

#[test]
fn exit_75_has_an_end_and_a_retry_by_hand_counts_anew() {
    let mut session = Session::new();
    ["user 1000 spawn a", "shim a up", "user 1000 submit t"].iter().for_each(|line| session.line(line));
    for _ in 0..SNOOZES_MAX {
        session.line("exit a 75");
        assert_eq!(session.reasons("t"), ["deferred"]);
        session.line("tick 11m");
    }
    session.line("exit a 75");
    assert_eq!(session.reasons("t"), ["try_again_exhausted"]);
    session.line("user 1000 retry t");
    session.line("exit a 75");
    assert_eq!(session.reasons("t"), ["deferred"]);
}

#[test]
fn a_start_without_resources_is_tried_again_three_times_unasked() {
    let mut session = Session::new();
    ["user 1000 spawn a", "shim a up", "user 1000 submit t"].iter().for_each(|line| session.line(line));
    for _ in 0..3 {
        session.line("errno a 11");
        assert_eq!(session.reasons("t"), ["deferred"]);
        session.line("tick 1m");
    }
    session.line("errno a 11");
    assert_eq!(session.reasons("t"), ["start_resources"]);
    session.line("user 1000 submit missing");
    session.line("errno a 2");
    assert_eq!(session.reasons("missing"), ["program_not_found"]);
}

#[test]
fn waits_between_retries_never_grow_beyond_the_longest() {
    let mut session = Session::new();
    ["user 1000 spawn a", "shim a up", "user 1000 submit t --retries 40"]
        .iter()
        .for_each(|line| session.line(line));
    let longest = Config::default().retry_max;
    for _ in 0..40 {
        session.line("exit a 1");
        let due = fusion_core::wake::next_wake(&session.world.state).expect("it is deferred");
        assert!(due.since(session.world.now) <= longest);
        session.line("tick 11m");
    }
    session.line("exit a 1");
    assert_eq!(session.reasons("t"), ["exit_nonzero"]);
}

#[test]
fn an_attempt_that_began_without_a_trace_of_its_end_is_lost_and_not_started_again() {
    let mut state = at_work();
    hear(&mut state, shim_up(1, 1));
    assert_eq!(state.task(TaskId(1)).map(|task| task.state.word()), Some("lost"));
    state.check().expect("all is well");
}

#[test]
fn news_of_another_incarnation_changes_nothing() {
    let mut state = at_work();
    let pause = Command::PauseAgent { agent: "a1".to_owned(), how: fusion_core::input::PauseHow::Freeze };
    assert_eq!(ask(&mut state, ME, pause), "");
    let before: Vec<_> = state.agents().cloned().collect();
    let agent = AgentId(1);
    hear(&mut state, Outcome::Frozen { agent, incarnation: 2 });
    hear(&mut state, Outcome::AttemptStarted { agent, incarnation: 2, serial: 1, at: Time(1) });
    hear(&mut state, Outcome::ShimFailed { agent, incarnation: 2, reason: String::new() });
    hear(&mut state, Outcome::ShimGone { agent, incarnation: 2, witness: Default::default() });
    assert!(state.agents().eq(&before));
}

#[test]
fn a_launch_that_fails_under_a_working_agent_leaves_its_attempt_in_doubt() {
    let mut state = at_work();
    hear(&mut state, Outcome::ShimFailed { agent: AgentId(1), incarnation: 1, reason: "gone".to_owned() });
    assert_eq!(state.task(TaskId(1)).map(|task| task.state.word()), Some("lost"));
}
