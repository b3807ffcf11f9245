//! `workflow import`: makes a workflow of a task file of spec-kit, and begins a run of it.
//!
//! Not for: reading such files (`fusion-speckit`), writing boxes back (the daemon, as the user).

mod busy;
mod call;
mod definition;
mod feature;
mod hooks;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use fusion_proto::v1::{ApplyWorkflowRequest, RunWorkflowRequest};
use fusion_speckit::{FILE_BYTES_MAX, TaskFile};
use fusion_workflow::Severity;

use self::definition::Wishes;
use self::feature::Feature;
use self::hooks::{Hooks, Which};
use super::follow::{self, note};
use crate::client::request_id;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::units::parse_duration;

const AFTER: &str = "\
Each task becomes a node; what is ticked or skipped counts as done. Agents work in the project's
folder, and the box of a task is ticked when its node has succeeded: leave the file to the
daemon while the run goes on. Everything odd in the file is told with its line.

  strict   one phase after the other; within a phase, tasks with [P] side by side
  stories  user stories beside one another, each behind the phases before the first of them

A feature with open boxes in its checklists/*.md waits for `workflow approve RUN checklists`, as
spec-kit asks before it begins.

Hooks of the project's extensions for before_implement and after_implement are run before and
after the tasks, as spec-kit runs them: those that are mandatory. Hooks with a condition are left
out; whatever is left out is told with its line in .specify/extensions.yml.

What a task is said to depend on comes before it, and of tasks that name the same file one comes
after the other. When a task fails, nothing new begins; when one with [P] fails, its neighbours
go on.

Examples:
  fusionctl workflow import specs/001-login/tasks.md --capability code --wait
  fusionctl workflow import specs/001-login/tasks.md --profile claude --mode stories
  fusionctl workflow import specs/001-login/tasks.md --dry-run > login.yaml";

/// Arguments of `workflow import`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// The file, such as specs/001-login/tasks.md
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// How phases follow one another
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,
    /// Wait for approval at each checkpoint of the file
    #[arg(long)]
    hold_checkpoints: bool,
    /// Begin although boxes of the feature's checklists are open [default: wait for approval]
    #[arg(long)]
    ignore_checklists: bool,
    /// Which hooks of the project's extensions are run before and after the tasks
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    hooks: Which,
    /// Name of the workflow [default: that of the feature's folder]
    #[arg(long)]
    name: Option<String>,
    /// The agent that does all tasks, by name
    #[arg(long, short)]
    agent: Option<String>,
    /// The profile of the agents that do the tasks: idle ones, or some that are started for them
    #[arg(long, short, conflicts_with = "agent")]
    profile: Option<String>,
    /// Something the agents must be able to do (may be repeated)
    #[arg(long = "capability", short, value_name = "C")]
    capabilities: Vec<String>,
    /// Longest time of one attempt
    #[arg(long, short, value_name = "DURATION", value_parser = parse_duration)]
    timeout: Option<Duration>,
    /// How often a task is tried again after a failure
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// Tasks at once [default: as many as there are agents]
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// The folder that agents work in [default: the project's]
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// Print the definition as YAML, and do nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Show what happens until the run has ended; exits with 1 when it did not succeed
    #[arg(long, short)]
    wait: bool,
}

/// The modes by their names.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Mode {
    /// One phase after the other
    #[default]
    Strict,
    /// User stories beside one another
    Stories,
}

impl Mode {
    const fn wanted(self) -> fusion_speckit::Mode {
        match self {
            Self::Strict => fusion_speckit::Mode::Strict,
            Self::Stories => fusion_speckit::Mode::Stories,
        }
    }
}

/// Reads the file, keeps the workflow, begins a run of it.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let (definition, notes) = read(&args)?;
    let text = serde_json::to_string(&definition).expect("a definition always has a JSON form");
    check(&args.file, &text)?;
    notes.iter().for_each(|odd| note(odd));
    if args.dry_run {
        let yaml = serde_yaml_ng::to_string(&definition).expect("what has a JSON form has one in YAML");
        session.out.raw(yaml.as_bytes())?;
        return Ok(Exit::Done);
    }
    let link = session.link().await?;
    busy::check(&link, &args.file, &definition).await?;
    let apply = ApplyWorkflowRequest { definition: text, user: String::new() };
    let applied = link.repeat(async || link.workflows().apply_workflow(apply.clone()).await).await?;
    let request = RunWorkflowRequest {
        workflow: applied.name,
        request_id: request_id(),
        ..RunWorkflowRequest::default()
    };
    let run = link.repeat(async || link.workflows().run_workflow(request.clone()).await).await?;
    follow::begun(&mut session, &link, run, args.wait).await
}

/// The definition, and everything odd.
fn read(args: &Args) -> Result<(serde_json::Value, Vec<String>), Stop> {
    let shown = args.file.display().to_string();
    let bytes = read_some(&args.file).map_err(|error| Complaint::unreadable(&shown, &error))?;
    let refused = |refusal: fusion_speckit::Refusal| {
        let complaint =
            Complaint::new(Exit::Usage, "tasks_file_invalid", format!("{shown} cannot be imported"));
        Stop::from(complaint.detail(refusal.to_string()))
    };
    let file = TaskFile::read(&bytes).map_err(refused)?;
    let order = file.order(args.mode.wanted(), args.hold_checkpoints).map_err(refused)?;
    let feature = Feature::around(&args.file, args.workdir.as_deref())
        .map_err(|error| Complaint::unreadable(&shown, &error))?;
    let mut odd = [file.notes.clone(), order.notes.clone()].concat();
    odd.sort();
    let mut notes: Vec<String> =
        odd.iter().map(|note| format!("{shown}:{}: {}", note.line, note.text)).collect();
    let mut hooks = Hooks::of(&feature, args.hooks);
    notes.append(&mut hooks.notes);
    let checklists = if args.ignore_checklists { Vec::new() } else { feature.open_checklists() };
    let wishes = Wishes {
        name: args.name.clone(),
        agent: args.agent.clone(),
        profile: args.profile.clone(),
        capabilities: args.capabilities.clone(),
        timeout: args.timeout,
        retries: args.retries,
        concurrency: args.concurrency,
        checklists,
        hooks,
    };
    Ok((definition::definition(&file, &order, &feature, &wishes), notes))
}

/// The file, and no more of it than one byte too many.
fn read_some(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What the daemon would say of it is said here, beside the file's name.
fn check(file: &Path, text: &str) -> Result<(), Stop> {
    let read = fusion_workflow::read_json(text);
    let wrong = read.problems.iter().filter(|problem| problem.severity == Severity::Error);
    let wrong: Vec<String> = wrong.map(|problem| problem.message.clone()).collect();
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!("{} makes no valid workflow", file.display());
    let complaint = Complaint::new(Exit::Usage, "workflow_invalid", message).detail(wrong.join("\n"));
    Err(complaint.hint("`fusionctl workflow import --dry-run` shows the definition").into())
}
