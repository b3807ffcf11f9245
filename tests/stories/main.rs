//! The stories: what users and agents rely on, shown on the real binaries.
//!
//! A function is named after the verb and what can be relied on. Each starts a daemon of its own; `as_root` holds
//! those that need several users or a certain way of holding process trees.

mod agent;
mod agent_attach;
mod agent_end;
mod agent_remove;
mod agent_scale;
mod agent_spawn;
mod agent_spawn_from;
mod agent_update;
mod as_root;
mod bad_input;
mod completion;
mod event;
mod fusion_run;
mod guide;
mod host;
mod input;
mod logs;
mod logs_selection;
mod pool;
mod profile;
mod retention;
mod run;
mod secret;
mod service_manager;
mod survive;
mod system;
mod task;
mod task_bulk;
mod task_concurrency;
mod task_end;
mod task_env;
mod task_files;
mod task_hold;
mod task_input;
mod task_order;
mod task_output;
mod task_progress;
mod task_question;
mod task_submit;
mod task_time;
mod task_update;
mod task_wait;
mod task_workdir;
mod tree;
mod why;
mod workflow_apply;
mod workflow_approve;
mod workflow_budget;
mod workflow_cancel;
mod workflow_cost;
mod workflow_edit;
mod workflow_examples;
mod workflow_import;
mod workflow_live;
mod workflow_pause;
mod workflow_plan;
mod workflow_profile;
mod workflow_rerun;

mod workflow_result;
mod workflow_run;
mod workflow_validate;
mod workflow_wait;
mod workspace;
mod workspace_diff;
mod workspace_du;
mod workspace_prune;
mod workspace_quota;

use fusion_tests::{Ctl, Daemon};

/// A daemon with one agent "a" that works through scripts of fake-agent.
fn daemon_with_agent() -> (Daemon, Ctl) {
    let daemon = Daemon::start();
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    (daemon, ctl)
}

/// The newest attempt of a task in JSON.
fn last_attempt(task: &serde_json::Value) -> &serde_json::Value {
    task["attempts"].as_array().and_then(|attempts| attempts.last()).expect("the task has an attempt")
}
