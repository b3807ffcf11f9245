//! `cargo xtask chaos dag`: the daemon is killed -9 while a run of two hundred nodes goes on, with fan-out, gates and
//! nodes that fail. What came of it is compared with the same run in peace, and the programs' own ledger is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use fusion_tests::{Ctl, Daemon, Ledger, Setup};
use serde_json::Value;

use super::{Dice, pause};
use crate::shell::{build_release, number_flag, say};

const AGENTS: usize = 4;
const STAGES: usize = 8;
/// Plain nodes of a stage; with its six others and the gates they are two hundred.
const PLAIN: usize = 18;
/// A gate stands before these stages.
const GATES: [usize; 3] = [0, 3, 6];
/// A kill comes this long after the daemon got ready.
const KILL_AFTER_MS: std::ops::RangeInclusive<u64> = 5..=300;

/// Runs the cycles and prints the verdict.
///
/// # Errors
///
/// When the results differ, or a node was started twice.
pub(crate) fn dag(flags: &[&str]) -> anyhow::Result<()> {
    let cycles = number_flag(flags, "--cycles", 100)?;
    let seed = number_flag(flags, "--seed", u64::from(std::process::id()))?;
    build_release()?;
    let quiet = in_peace()?;
    say(&format!("chaos dag: {} nodes, {cycles} kills, seed {seed}\n", quiet.results.len()));
    let (mut dice, mut kills, mut runs) = (Dice(seed), 0, 0);
    while kills < cycles {
        let (told, survived) = among_kills(&mut dice, cycles - kills)?;
        (kills, runs) = (kills + survived, runs + 1);
        told.compare(&quiet)?;
        say(&format!(
            "run {runs}: {survived} kills survived, {} programs started, each once\n",
            told.starts.len()
        ));
    }
    say(&format!("{kills} kills, {runs} runs: the same results, no node started twice\n"));
    Ok(())
}

/// What came of one run.
struct Told {
    /// State and output of every node.
    results: BTreeMap<String, String>,
    /// How often each task was started.
    starts: BTreeMap<String, usize>,
}

impl Told {
    fn of(ctl: &Ctl, run: &str, ledger: &Ledger) -> anyhow::Result<Self> {
        let shown = ctl.json(&["workflow", "show", run]);
        let nodes = shown["nodes"].as_array().with_context(|| format!("no nodes: {shown}"))?;
        let results = nodes.iter().map(|node| {
            let id = node["id"].as_str().unwrap_or_default().to_owned();
            (id, format!("{} {}", node["state"], node["output"]))
        });
        let mut starts = BTreeMap::new();
        for ((task, _), entry) in ledger.entries() {
            *starts.entry(task).or_default() += entry.starts.len();
        }
        Ok(Self { results: results.collect(), starts })
    }

    fn compare(&self, quiet: &Self) -> anyhow::Result<()> {
        let twice: BTreeSet<&String> =
            self.starts.iter().filter(|(_, count)| **count != 1).map(|(task, _)| task).collect();
        ensure!(twice.is_empty(), "started twice: {twice:?}");
        for (id, expected) in &quiet.results {
            let found = self.results.get(id);
            ensure!(found == Some(expected), "node {id}: {found:?} after kills, {expected} without");
        }
        let (ours, theirs) = (self.starts.len(), quiet.starts.len());
        ensure!(ours == theirs, "{ours} programs were started, {theirs} without kills");
        Ok(())
    }
}

fn in_peace() -> anyhow::Result<Told> {
    let stage = Stage::new()?;
    let run = stage.begin();
    approve_all(&stage.ctl, &run, || false)?;
    stage.ended(&run)?;
    Told::of(&stage.ctl, &run, &stage.ledger)
}

/// Kills until the run has ended or enough is survived.
fn among_kills(dice: &mut Dice, most: u64) -> anyhow::Result<(Told, u64)> {
    let mut stage = Stage::new()?;
    let run = stage.begin();
    let (stop, stopped) = sync_channel::<()>(1);
    let (ctl, id) = (stage.ctl.clone(), run.clone());
    let approver = std::thread::spawn(move || {
        approve_all(&ctl, &id, || {
            stopped.recv_timeout(Duration::from_millis(50)) != Err(RecvTimeoutError::Timeout)
        })
    });
    let mut kills = 0;
    while kills < most && !stage.has_ended(&run) {
        pause(dice.between(*KILL_AFTER_MS.start(), *KILL_AFTER_MS.end()));
        stage.daemon.kill9();
        stage.daemon.start_again();
        kills += 1;
    }
    stage.ended(&run)?;
    drop(stop);
    approver.join().ok().context("the approver has panicked")??;
    Ok((Told::of(&stage.ctl, &run, &stage.ledger)?, kills))
}

/// Approves each gate as soon as it waits; `is_over` waits a moment and tells whether to leave.
fn approve_all(ctl: &Ctl, run: &str, is_over: impl Fn() -> bool) -> anyhow::Result<()> {
    for gate in GATES.map(|stage| format!("gate_{stage}")) {
        loop {
            let done = ctl.run(&["workflow", "approve", run, &gate, "--comment", "go on"]);
            match done.code {
                0 => break,
                // It does not wait yet, or was approved by an answer that a kill took away.
                4 | 6 if is_approved(ctl, run, &gate) => break,
                4 | 6 if is_over() => return Ok(()),
                4 | 6 => {}
                _other => bail!("approving {gate} failed: {done}"),
            }
        }
    }
    Ok(())
}

fn is_approved(ctl: &Ctl, run: &str, gate: &str) -> bool {
    let done = ctl.run(&["-o", "json", "workflow", "show", run]);
    let shown: Value = serde_json::from_str(&done.stdout).unwrap_or_default();
    let mut nodes = shown["nodes"].as_array().into_iter().flatten();
    nodes.any(|node| node["id"] == gate && node["state"] == "succeeded")
}

struct Stage {
    daemon: Daemon,
    ctl: Ctl,
    ledger: Ledger,
}

impl Stage {
    fn new() -> anyhow::Result<Self> {
        let daemon = Daemon::with(Setup::default());
        let (ctl, ledger) = (daemon.ctl(), daemon.ledger("ledger"));
        for number in 0..AGENTS {
            ctl.spawn_fake(&format!("a{number}"), &[]);
        }
        std::fs::write(daemon.folder().join("dag.yaml"), definition(ledger.path())?)
            .context("writing the definition")?;
        Ok(Self { daemon, ctl, ledger })
    }

    fn begin(&self) -> String {
        let file = self.daemon.folder().join("dag.yaml");
        self.ctl.id(&["workflow", "run", &file.to_string_lossy()])
    }

    fn has_ended(&self, run: &str) -> bool {
        let state = self.ctl.json(&["workflow", "show", run])["state"].clone();
        state != "running" && state != "paused"
    }

    /// Waits for the end; whether it is good or bad is compared.
    fn ended(&self, run: &str) -> anyhow::Result<()> {
        let done = self.ctl.run(&["workflow", "show", "--wait", run]);
        ensure!(done.code == 0 || done.code == 1, "waiting for {run} failed: {done}");
        Ok(())
    }
}

/// The graph; every program writes down its start, takes its time, and says its name.
fn definition(ledger: &str) -> anyhow::Result<String> {
    let mut text = "name: dag\nnodes:\n".to_owned();
    let node = |text: &mut String, id: &str, needs: &str, ending: &str, more: &str| {
        let prompt = format!("ledger {ledger}\\nnap 150\\n{ending}");
        writeln!(text, "  - {{id: {id}, needs: [{needs}], prompt: \"{prompt}\"{more}}}")
    };
    let mut before = String::new();
    for stage in 0..STAGES {
        if GATES.contains(&stage) {
            let gate = format!("gate_{stage}");
            writeln!(text, "  - {{id: {gate}, needs: [{before}], approval: {{message: go on}}}}")?;
            before = gate;
        }
        node(&mut text, &format!("list_{stage}"), &before, "say [1,2,3,4,5,6,7,8]", ", output: json")?;
        let list = format!("list_{stage}");
        let each = format!(", foreach: \"{{{{ nodes.{list}.output }}}}\", max_parallel: 3");
        node(&mut text, &format!("item_{stage}"), &list, "say {{ item }}", &each)?;
        node(&mut text, &format!("fails_{stage}"), &list, "exit 1", ", on_failure: continue")?;
        node(&mut text, &format!("breaks_{stage}"), &list, "exit 3", ", on_failure: skip-dependents")?;
        node(&mut text, &format!("skipped_{stage}"), &format!("breaks_{stage}"), "say never", "")?;
        let mut all = vec![format!("item_{stage}"), format!("fails_{stage}")];
        for number in 0..PLAIN {
            let id = format!("work_{stage}_{number}");
            node(&mut text, &id, &list, &format!("say {id}"), "")?;
            all.push(id);
        }
        let fold = format!("say {{{{ nodes.item_{stage}.output | length }}}}");
        node(&mut text, &format!("fold_{stage}"), &all.join(", "), &fold, "")?;
        before = format!("fold_{stage}");
    }
    Ok(text)
}
