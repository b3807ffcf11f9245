//! `cargo xtask bench dag`: what the engine of workflows takes beside the programs, against the limit of the machine and
//! programs that do nothing but this: make and ninja, which keep nothing and isolate nothing.
//!
//! Layered graphs: each node needs two of the layer before, so that the width never runs dry.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, ensure};

use super::bounds::Bounds;
use super::peers::{self, Rate, TRUE, measure};
use super::stage::Stage;
use super::stats::median;
use crate::shell::{self, build_release, number_flag, say};

/// Nodes of the graphs that are compared.
const SIZES: [usize; 2] = [1_000, 10_000];
/// Nodes of a layer.
const WIDTH: usize = 50;
/// Nodes of the chain.
const CHAIN: usize = 40;
/// Tasks of the task file that is imported.
const TASKS: usize = 1_000;

/// A chain takes no more of the engine's time.
const CHAIN_S_MAX: f64 = 0.3;
/// The smaller graph is done at no less of ninja's rate, and the larger at no less of that.
const OF_NINJA_MIN: [f64; 2] = [0.8, 0.9];
/// Validate and plan of the larger graph together, and the import of the task file.
const CLIENT_S_MAX: f64 = 1.0;
const IMPORT_S_MAX: f64 = 0.2;

/// Measures and prints.
///
/// # Errors
///
/// When a side does not do its work, or with `--check` when a bound is broken.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let rounds = number_flag(flags, "--rounds", 3)?;
    let agents = number_flag(flags, "--agents", 4)?;
    build_release()?;
    shell::need("make", "make")?;
    shell::need("ninja", "ninja-build")?;
    let folder = tempfile::tempdir().context("a temporary folder")?;
    say(&format!("{rounds} rounds, {agents} agents, `{TRUE}`; each line is one round\n"));
    let mut all = Rounds::default();
    for round in 1..=rounds {
        all.limit.push(shown(round, "posix_spawn, two at a time", peers::spawn_limit(10_000)?));
        let (seconds, alone) = chain(agents)?;
        say(&format!(
            "{round} {:<30} {seconds:>7.3} s, {alone:.3} s without the programs\n",
            format!("fusiond, chain of {CHAIN}")
        ));
        all.chain.push((seconds, alone));
        for (at, size) in SIZES.into_iter().enumerate() {
            let graph = Layered(size);
            all.ours[at].push(shown(round, &format!("fusiond, {size} nodes"), ours(graph, agents)?));
            all.ninja[at].push(shown(
                round,
                &format!("ninja -j2, {size} nodes"),
                ninja(graph, folder.path())?,
            ));
            all.make[at].push(shown(round, &format!("make -j2, {size} nodes"), make(graph, folder.path())?));
        }
    }
    let mut bounds = Bounds::of(flags);
    summary(&all, &mut bounds);
    client(folder.path(), &mut bounds)?;
    bounds.at_most("seconds of an import", import(rounds)?, IMPORT_S_MAX);
    fusion_tests::users::remove_all();
    bounds.end()
}

#[derive(Default)]
struct Rounds {
    limit: Vec<Rate>,
    chain: Vec<(f64, f64)>,
    ours: [Vec<Rate>; 2],
    ninja: [Vec<Rate>; 2],
    make: [Vec<Rate>; 2],
}

/// A layered graph of so many nodes.
#[derive(Clone, Copy)]
struct Layered(usize);

impl Layered {
    /// What a node needs: the node above it and that one's neighbour.
    fn needs(node: usize) -> Vec<usize> {
        let (layer, column) = (node / WIDTH, node % WIDTH);
        match layer {
            0 => Vec::new(),
            _ => vec![(layer - 1) * WIDTH + column, (layer - 1) * WIDTH + (column + 1) % WIDTH],
        }
    }

    fn yaml(self) -> String {
        let mut text = format!("name: layered-{}\nnodes:\n", self.0);
        for node in 0..self.0 {
            let needs: Vec<String> = Self::needs(node).iter().map(|need| format!("n{need}")).collect();
            // Writing to a String cannot fail.
            let _written =
                writeln!(text, "  - {{id: n{node}, needs: [{}], run: [\"{TRUE}\"]}}", needs.join(", "));
        }
        text
    }

    fn ninja(self) -> String {
        let mut text = format!("rule t\n  command = {TRUE}\n");
        for node in 0..self.0 {
            let needs: String = Self::needs(node).iter().map(|need| format!(" n{need}")).collect();
            let _written = writeln!(text, "build n{node}: t{needs}");
        }
        text
    }

    fn makefile(self) -> String {
        let all: String = (0..self.0).map(|node| format!(" n{node}")).collect();
        let mut text = format!("all:{all}\n.PHONY: all{all}\n");
        for node in 0..self.0 {
            let needs: String = Self::needs(node).iter().map(|need| format!(" n{need}")).collect();
            let _written = writeln!(text, "n{node}:{needs}\n\t@{TRUE}");
        }
        text
    }
}

fn shown(round: u64, name: &str, rate: Rate) -> Rate {
    say(&format!(
        "{round} {name:<30} {:>7.0}/s ({:.2} ms CPU a node)\n",
        rate.per_second, rate.cpu_ms_per_task
    ));
    rate
}

/// Seconds of a chain of nodes, and what is left of them without the programs: those take what a posix_spawn takes.
fn chain(agents: u64) -> anyhow::Result<(f64, f64)> {
    let mut text = "name: chain\nnodes:\n".to_owned();
    for node in 0..CHAIN {
        let needs = node.checked_sub(1).map_or_else(String::new, |before| format!("needs: [n{before}], "));
        writeln!(text, "  - {{id: n{node}, {needs}run: [\"{TRUE}\"]}}")?;
    }
    let stage = Stage::new(agents);
    let file = written(stage.daemon.folder(), "chain.yaml", &text)?;
    let seconds = timed(|| ended_well(&stage, &file))?;
    let one_by_one = timed(|| {
        (0..CHAIN).try_for_each(|_| {
            shell::command(TRUE).stdin(Stdio::null()).status().context("cannot start true").map(drop)
        })
    })?;
    Ok((seconds, seconds - one_by_one))
}

fn ours(graph: Layered, agents: u64) -> anyhow::Result<Rate> {
    let stage = Stage::new(agents);
    let file = written(stage.daemon.folder(), "layered.yaml", &graph.yaml())?;
    let (cpu, resident) = (stage.cpu_seconds()?, stage.resident_kib()?);
    let seconds = timed(|| ended_well(&stage, &file))?;
    #[expect(clippy::cast_precision_loss, reason = "counts of nodes are far below 2^52")]
    let bytes = (stage.resident_kib()? - resident) * 1024.0 / graph.0 as f64;
    say(&format!("  memory of the daemon: {bytes:.0} bytes a node\n"));
    Ok(Rate::new(graph.0 as u64, seconds, stage.cpu_seconds()? - cpu))
}

/// Begins a run and returns when it has ended, which it must have done well.
fn ended_well(stage: &Stage, file: &Path) -> anyhow::Result<()> {
    let file = file.to_str().context("a plain name")?;
    let done = stage.ctl.run(&["-q", "workflow", "run", file, "--wait"]);
    ensure!(done.code == 0, "the run failed: {done}");
    Ok(())
}

fn ninja(graph: Layered, folder: &Path) -> anyhow::Result<Rate> {
    written(folder, "build.ninja", &graph.ninja())?;
    measure(graph.0 as u64, || quiet(shell::command("ninja").args(["-j2", "--quiet", "-C"]).arg(folder)))
}

fn make(graph: Layered, folder: &Path) -> anyhow::Result<Rate> {
    written(folder, "Makefile", &graph.makefile())?;
    measure(graph.0 as u64, || quiet(shell::command("make").args(["-j2", "-s", "-C"]).arg(folder)))
}

fn quiet(command: &mut Command) -> anyhow::Result<()> {
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

fn summary(all: &Rounds, bounds: &mut Bounds) {
    let rate = |rates: &[Rate]| median(&rates.iter().map(|rate| rate.per_second).collect::<Vec<_>>());
    let limit = rate(&all.limit);
    say(&format!("\n{:<30} {:>9} {:>9} {:>9}\n", "median", "nodes/s", "of limit", "of ninja"));
    say(&format!("{:<30} {limit:>9.0} {:>9.3}\n", "posix_spawn, two at a time", 1.0));
    for (at, size) in SIZES.into_iter().enumerate() {
        let peer = rate(&all.ninja[at]);
        for (name, rates) in
            [("fusiond", &all.ours[at]), ("ninja -j2", &all.ninja[at]), ("make -j2", &all.make[at])]
        {
            let own = rate(rates);
            let name = format!("{name}, {size} nodes");
            say(&format!("{name:<30} {own:>9.0} {:>9.3} {:>9.2}\n", own / limit, own / peer));
        }
    }
    let [chain, alone] = [|(all, _): &(f64, f64)| *all, |(_, alone): &(f64, f64)| *alone]
        .map(|part| median(&all.chain.iter().map(part).collect::<Vec<_>>()));
    say(&format!("chain of {CHAIN}: {chain:.3} s, {alone:.3} s without the programs\n"));
    let against = |at: usize| rate(&all.ours[at]) / rate(&all.ninja[at]);
    say(&format!("against ninja, {} nodes / {} nodes: {:.2}\n", SIZES[1], SIZES[0], against(1) / against(0)));
    bounds.at_most("seconds of the chain without the programs", alone, CHAIN_S_MAX);
    bounds.at_least("rate of ninja's", against(0), OF_NINJA_MIN[0]);
    bounds.at_least("of that with the larger graph", against(1) / against(0), OF_NINJA_MIN[1]);
}

/// What the client takes to check and to plan the largest graph.
fn client(folder: &Path, bounds: &mut Bounds) -> anyhow::Result<()> {
    shell::need("time", "time")?;
    let stage = Stage::new(1);
    let file = written(folder, "large.yaml", &Layered(SIZES[1]).yaml())?;
    let mut seconds = 0.0;
    for verb in ["validate", "plan"] {
        let mut command = shell::command("/usr/bin/time");
        command.args(["--format", "%e s, %M KiB"]).arg(fusion_tests::binary("fusionctl"));
        command.arg("--socket").arg(stage.daemon.socket()).args(["-q", "workflow", verb]).arg(&file);
        let begin = Instant::now();
        let output = command.stdout(Stdio::null()).output().context("cannot start time")?;
        seconds += begin.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "workflow {verb} failed: {said}");
        let figures = said.lines().last().unwrap_or_default();
        say(&format!("workflow {verb}, {} nodes: {figures}\n", SIZES[1]));
    }
    bounds.at_most("seconds of both", seconds, CLIENT_S_MAX);
    Ok(())
}

/// From the command to the accepted run of a large task file; nobody can do its tasks, so that nothing else is measured.
fn import(rounds: u64) -> anyhow::Result<f64> {
    let stage = Stage::new(0);
    let mut text = "# Tasks: Large\n".to_owned();
    for at in 1..=TASKS {
        if at % WIDTH == 1 {
            writeln!(text, "\n## Phase {}: Next\n", at / WIDTH + 1)?;
        }
        let parallel = if at % 3 == 0 { "[P] " } else { "" };
        writeln!(text, "- [ ] T{at:03} {parallel}Write src/file_{at}.rs")?;
    }
    let mut seconds = Vec::new();
    for round in 0..rounds {
        // No file is imported twice at once.
        let folder = stage.daemon.folder().join(format!("{round:03}-large"));
        std::fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        let file = written(&folder, "tasks.md", &text)?;
        let file = file.to_str().context("a plain name")?;
        seconds.push(timed(|| {
            let done = stage.ctl.run(&["-q", "workflow", "import", file, "--capability", "none"]);
            ensure!(done.code == 0, "the import failed: {done}");
            Ok(())
        })?);
    }
    let middle = median(&seconds);
    say(&format!("workflow import, {TASKS} tasks: {middle:.3} s\n"));
    Ok(middle)
}

fn written(folder: &Path, name: &str, text: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

fn timed(act: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let begin = Instant::now();
    act()?;
    Ok(begin.elapsed().as_secs_f64())
}
