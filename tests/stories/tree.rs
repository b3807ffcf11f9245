//! Stories about the whole process tree of an agent, the same for every way of holding it.
//!
//! Each is a plain function over a daemon; here they run with what the probe chooses, in `as_root::backends` with
//! each backend forced.

use std::time::Duration;

use fusion_tests::{Daemon, Deadline, Fifo, Watch, processes, stream};

use crate::last_attempt;

/// A daemon, and an agent of it that runs a process and a grandchild of another session; both their pids.
fn daemon_with_tree(daemon: &Daemon, then: &str) -> (String, Vec<i32>, Fifo) {
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let mut bell = daemon.fifo("bell");
    let script = format!("ignore-term\ngrandchild {0}\nring {0}\n{then}", bell.path());
    let task = ctl.submit(&script, &[]);
    let pids = (0..2).map(|_| bell.next_pid()).collect();
    (task, pids, bell)
}

pub(crate) fn terminate_leaves_nothing(daemon: &Daemon) {
    let (_task, pids, _bell) = daemon_with_tree(daemon, "stall");
    assert!(pids.iter().all(|pid| processes::look(*pid).is_some()));
    daemon.ctl().ok(&["agent", "terminate", "a", "--grace", "200ms"]);
    for pid in pids {
        assert_eq!(processes::look(pid), None);
    }
    assert_eq!(daemon.processes(), []);
}

pub(crate) fn cancel_leaves_nothing(daemon: &Daemon) {
    let (task, pids, _bell) = daemon_with_tree(daemon, "stall");
    let ctl = daemon.ctl();
    let cancelled = ctl.run(&["task", "cancel", &task, "--grace", "200ms"]);
    assert_eq!(cancelled.code, 0, "{cancelled}");
    assert_eq!(ctl.ended(&task)["state"], "cancelled");
    for pid in pids {
        assert_eq!(processes::look(pid), None);
    }
    ctl.agent_in("a", "idle");
}

pub(crate) fn the_end_of_the_task_ends_what_it_left(daemon: &Daemon) {
    let mut gate = daemon.fifo("gate");
    let (task, pids, _bell) = daemon_with_tree(daemon, &format!("await {}", gate.path()));
    gate.open_gate(1);
    let ctl = daemon.ctl();
    assert_eq!(ctl.ended(&task)["state"], "succeeded");
    ctl.agent_in("a", "idle");
    for pid in pids {
        assert_eq!(processes::look(pid), None);
    }
}

pub(crate) fn pause_freezes_the_tree(daemon: &Daemon) {
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let script =
        format!("grandchild {0}\nring {0}\nawait {1}\nring {0} awake\nspin 60000", bell.path(), gate.path());
    let _task = ctl.submit(&script, &[]);
    let pids: Vec<i32> = (0..2).map(|_| bell.next_pid()).collect();
    assert_eq!(ctl.json(&["agent", "pause", "a"])["state"], "paused");
    gate.open_gate(1);
    assert_eq!(bell.line_before(Deadline::after(Duration::from_millis(300))), None, "a frozen agent went on");
    assert!(pids.iter().all(|pid| processes::look(*pid).is_some()), "freezing is not killing");
    ctl.ok(&["agent", "resume", "a"]);
    assert_eq!(bell.next_line(), "awake");
    // Now it spins: frozen again, no process of the tree uses the processor.
    ctl.ok(&["agent", "pause", "a"]);
    let before = cpu_ticks(daemon);
    assert_eq!(bell.line_before(Deadline::after(Duration::from_millis(300))), None);
    assert_eq!(cpu_ticks(daemon), before);
}

/// utime + stime of everything but the shims, in clock ticks (proc_pid_stat(5), fields 14 and 15).
fn cpu_ticks(daemon: &Daemon) -> u64 {
    let living = daemon.processes().into_iter().filter(|process| !process.is_shim());
    living
        .filter_map(|process| std::fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok())
        .map(|stat| {
            let (_, fields) = stat.rsplit_once(')').expect("the name stands in brackets");
            let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>());
            ticks.sum::<Result<u64, _>>().expect("ticks are numbers")
        })
        .sum()
}

pub(crate) fn a_killed_daemon_loses_nothing(mut daemon: Daemon) {
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let ledger = daemon.ledger("ledger");
    let script = format!(
        "ledger {}\nflood 100000 7\nring {}\nawait {}\nflood 100000 8\nexit 5",
        ledger.path(),
        bell.path(),
        gate.path()
    );
    let task = ctl.submit(&script, &[]);
    let pid: i32 = bell.next_pid();
    daemon.kill9();
    assert!(processes::look(pid).is_some(), "the agent died with the daemon");
    daemon.start_again();
    assert_eq!(ctl.json(&["agent", "show", "a"])["state"], "busy");
    ctl.task_in(&task, "running");
    gate.open_gate(1);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "failed");
    assert_eq!(ended["attempts"].as_array().map(Vec::len), Some(1));
    assert_eq!(last_attempt(&ended)["exitCode"], 5);
    let logs = ctl.run(&["task", "logs", &task]).expect_code(0).stdout;
    let expected = [stream(7, 100_000), stream(8, 100_000)].concat();
    assert!(logs.as_bytes() == expected, "{} bytes of logs, {} expected", logs.len(), expected.len());
    let entry = &ledger.entries()[&(task, 1)];
    assert_eq!(entry.starts.len(), 1);
    assert_eq!(entry.ends, [5]);
    assert_eq!(ctl.json(&["agent", "show", "a"])["incarnation"], 1);
}

pub(crate) fn an_exit_while_the_daemon_is_down_is_known(mut daemon: Daemon) {
    let ctl = daemon.ctl();
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let endings = ["exit 0", "exit 7", "exit 255", "signal 15", "signal 9", "signal 6"];
    let mut tasks = Vec::new();
    for (number, ending) in endings.iter().enumerate() {
        ctl.spawn_fake(&format!("a{number}"), &[]);
        tasks.push(
            ctl.submit(&format!("ring {}\nawait {}\nsay bye\n{ending}", bell.path(), gate.path()), &[]),
        );
    }
    let pids: Vec<i32> = endings.iter().map(|_| bell.next_pid()).collect();
    daemon.kill9();
    gate.open_gate(endings.len());
    for pid in pids {
        assert!(fusion_tests::wait_for_exit(
            rustix::process::Pid::from_raw(pid).expect("a pid is not 0"),
            Deadline::default()
        ));
    }
    daemon.start_again();
    for (ending, task) in endings.iter().zip(tasks) {
        let ended = ctl.ended(&task);
        assert_eq!(ended["attempts"].as_array().map(Vec::len), Some(1), "{ending}: {ended}");
        let (verb, number) = ending.split_once(' ').expect("an ending has two words");
        let field = if verb == "exit" { "exitCode" } else { "signal" };
        assert_eq!(
            last_attempt(&ended)[field],
            number.parse::<i32>().expect("an ending has a number"),
            "{ending}: {ended}"
        );
        assert_eq!(ctl.ok(&["task", "logs", &task]), "bye");
    }
}

pub(crate) fn a_killed_shim_takes_its_tree_along(daemon: &Daemon) {
    let (task, pids, _bell) = daemon_with_tree(daemon, "stall");
    let shim =
        daemon.processes().into_iter().find(processes::Process::is_shim).expect("the agent has a shim");
    assert!(processes::signal(shim.pid, &daemon.root(), rustix::process::Signal::KILL));
    let ctl = daemon.ctl();
    ctl.task_in(&task, "lost");
    for pid in pids {
        assert_eq!(processes::look(pid), None, "a process outlived the shim");
    }
}

pub(crate) fn usage_of_the_tree_is_reported(daemon: &Daemon) {
    let ctl = daemon.ctl();
    ctl.spawn_fake("a", &[]);
    let task = ctl.submit("spin 300\nalloc 20", &[]);
    let ended = ctl.ended(&task);
    let usage = &last_attempt(&ended)["usage"];
    assert!(usage["cpuSeconds"].as_f64().is_some_and(|seconds| seconds >= 0.2), "{ended}");
    assert!(usage["peakMemoryBytes"].as_u64().is_some_and(|bytes| bytes >= 20 << 20), "{ended}");
}

/// A shim that somebody asks to end, past the daemon, has not failed: only `always` starts it again.
pub(crate) fn a_shim_that_is_asked_to_end_obeys_its_policy(mut daemon: Daemon) {
    let ctl = daemon.ctl();
    let mut watch = Watch::from_now(&ctl);
    let ids: Vec<String> =
        POLICIES.iter().map(|policy| ctl.spawn_fake(policy, &["--restart", policy])).collect();
    let mut bell = daemon.fifo("bell");
    let task = ctl.submit(&format!("ring {}\nstall", bell.path()), &["--agent", "always"]);
    let first = bell.next_pid();
    for id in &ids {
        ask_shim_to_end(&daemon, id);
        watch.expect("agent.stopped", id);
    }
    assert_ne!(bell.next_pid(), first, "the task runs again on the next incarnation");
    let always = ctl.json(&["agent", "show", "always"]);
    assert_eq!((always["state"].as_str(), always["incarnation"].as_u64()), (Some("busy"), Some(2)));
    assert_eq!(ctl.json(&["task", "show", &task])["attempts"][0]["failure"]["code"], "agent_terminated");
    for id in &ids[..2] {
        assert_eq!(ctl.json(&["agent", "show", id])["state"], "terminated");
    }
    // The same while nobody watches.
    let late = ctl.spawn_fake("late", &["--restart", "on-failure"]);
    daemon.kill9();
    wait_for_exit(ask_shim_to_end(&daemon, &late));
    daemon.start_again();
    ctl.agent_in(&late, "terminated");
    assert_eq!(processes::look(first), None);
}

const POLICIES: [&str; 3] = ["never", "on-failure", "always"];

/// Sends SIGTERM to the shim of an agent; answers its pid.
fn ask_shim_to_end(daemon: &Daemon, id: &str) -> i32 {
    let mut living = daemon.processes().into_iter();
    let shim = living.find(|process| process.is_shim() && process.command.contains(id)).expect("its shim");
    assert!(processes::signal(shim.pid, &daemon.root(), rustix::process::Signal::TERM));
    shim.pid
}

fn wait_for_exit(pid: i32) {
    let pid = rustix::process::Pid::from_raw(pid).expect("a pid is not 0");
    assert!(fusion_tests::wait_for_exit(pid, Deadline::default()), "{pid:?} does not end");
}

/// Agents that take their prompt and give their result in files.
pub(crate) fn files_carry_prompt_and_result(mut daemon: Daemon) {
    let ctl = crate::task_files::with_file_agent(&mut daemon);
    let mut bell = daemon.fifo("bell");
    let mut gate = daemon.fifo("gate");
    let script = "set -e; test $(stat -c %a \"$FUSION_INPUT\") = 600; test -z \"$(cat)\"\n\
                  case $FUSION_OUTPUT in $FUSION_WORKSPACE/*) ;; *) exit 9;; esac\n\
                  cat \"$FUSION_INPUT\" > \"$FUSION_OUTPUT\"; echo to stdout";
    let task = ctl.submit(script, &[]);
    let ended = ctl.ended(&task);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(ctl.ok(&["task", "result", &task]), script);
    assert_eq!(ended["result"], script);
    assert_eq!(ctl.ok(&["task", "logs", &task]), "to stdout");
    let left = crate::task_files::files_left(&ctl);
    assert_eq!(left, [".gitignore"], "files of an attempt that is over");
    // The result is safe although the daemon is down when the attempt ends.
    let late = ctl.submit(
        &format!(
            "echo $$ > {}; head -c1 < {} > /dev/null; echo late > \"$FUSION_OUTPUT\"",
            bell.path(),
            gate.path()
        ),
        &[],
    );
    let pid = bell.next_pid();
    daemon.kill9();
    gate.open_gate(1);
    wait_for_exit(pid);
    daemon.start_again();
    assert_eq!(ctl.ended(&late)["state"], "succeeded");
    assert_eq!(ctl.ok(&["task", "result", &late]), "late");
}

/// The same stories under one setup.
macro_rules! stories_of_the_tree {
    ($setup:expr) => {
        use fusion_tests::Daemon;

        #[test]
        fn agent_terminate_ends_a_tree_that_ignores_it() {
            $crate::tree::terminate_leaves_nothing(&Daemon::with($setup));
        }

        #[test]
        fn task_cancel_ends_a_tree_that_ignores_it() {
            $crate::tree::cancel_leaves_nothing(&Daemon::with($setup));
        }

        #[test]
        fn task_end_ends_what_the_attempt_left_behind() {
            $crate::tree::the_end_of_the_task_ends_what_it_left(&Daemon::with($setup));
        }

        #[test]
        fn agent_pause_freezes_the_whole_tree() {
            $crate::tree::pause_freezes_the_tree(&Daemon::with($setup));
        }

        #[test]
        fn daemon_killed_loses_no_output_and_no_exit_code() {
            $crate::tree::a_killed_daemon_loses_nothing(Daemon::with($setup));
        }

        #[test]
        fn daemon_down_while_agents_exit_learns_how() {
            $crate::tree::an_exit_while_the_daemon_is_down_is_known(Daemon::with($setup));
        }

        #[test]
        fn shim_killed_takes_the_tree_along_and_the_task_is_lost() {
            $crate::tree::a_killed_shim_takes_its_tree_along(&Daemon::with($setup));
        }

        #[test]
        fn agent_restart_policy_tells_a_stop_from_a_failure() {
            $crate::tree::a_shim_that_is_asked_to_end_obeys_its_policy(Daemon::with($setup));
        }

        #[test]
        fn task_files_carry_prompt_and_result() {
            $crate::tree::files_carry_prompt_and_result(Daemon::with($setup));
        }

        #[test]
        fn task_show_reports_the_usage_of_the_tree() {
            $crate::tree::usage_of_the_tree_is_reported(&Daemon::with($setup));
        }
    };
}
pub(crate) use stories_of_the_tree;

mod as_probed {
    use fusion_tests::Setup;

    super::stories_of_the_tree!(Setup::default());
}

mod without_control_groups {
    use fusion_tests::Setup;

    super::stories_of_the_tree!(Setup::with_backend("none"));
}
