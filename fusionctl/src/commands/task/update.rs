//! `task update`: changes what tasks ask for, as long as no attempt of them runs.

use std::path::PathBuf;
use std::time::Duration;

use fusion_proto::v1::{OnLost, UpdateTaskRequest};
use jiff::Timestamp;

use super::change::{self, Change, Which};
use super::submit::prompt;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::units::{parse_duration, parse_instant, parse_pair};
use crate::view::word::{parse_word, wire_duration, wire_time};

const AFTER: &str = "\
Only a task that is blocked, deferred, queued or held can be changed; a task that is tried again
takes the change into its next attempt. Its key goes on to mean what was submitted.

Examples:
  fusionctl task update 4f2k9x0a --priority 9
  fusionctl task update 4f2k9x0a --prompt 'make -k check' --timeout none
  fusionctl task update 4f2k9x0a --add-label batch=8 --remove-label urgent --agent any
  fusionctl task update --label batch=7 --state queued --priority 9 --yes";

/// Arguments of `task update`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    #[command(flatten)]
    chosen: Which,
    #[command(flatten)]
    edits: Edits,
}

/// What is to be different.
#[derive(Debug, clap::Args)]
pub(crate) struct Edits {
    /// 0 to 9, 9 first
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=9))]
    priority: Option<u32>,
    /// Another prompt; `-` reads it from stdin
    #[arg(long, value_name = "TEXT", conflicts_with = "input_file")]
    prompt: Option<String>,
    /// Read another prompt from a file
    #[arg(long, value_name = "FILE")]
    input_file: Option<PathBuf>,
    /// The agent it must run on; `any`: any that fits
    #[arg(long, short)]
    agent: Option<String>,
    /// Something the agent must be able to do, instead of all that were asked for; `none` (may be repeated)
    #[arg(long = "capability", short, value_name = "C")]
    capabilities: Vec<String>,
    /// Add a label, or change one (may be repeated)
    #[arg(long = "add-label", value_name = "KEY=VALUE", value_parser = parse_pair)]
    added_labels: Vec<(String, String)>,
    /// Remove a label (may be repeated)
    #[arg(long = "remove-label", value_name = "KEY")]
    remove_labels: Vec<String>,
    /// Longest time of one attempt, or `none`
    #[arg(long, short, value_name = "DURATION", value_parser = or_none(parse_duration))]
    timeout: Option<Edit<Duration>>,
    /// Longest time without output or CPU use, or `none`
    #[arg(long, value_name = "DURATION", value_parser = or_none(parse_duration))]
    idle_timeout: Option<Edit<Duration>>,
    /// Longest time until the first start, or `none`
    #[arg(long, value_name = "DURATION", value_parser = or_none(parse_duration))]
    queue_timeout: Option<Edit<Duration>>,
    /// How often it is tried again after a failure
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// Not before this time: RFC 3339, a duration from now, or `none`
    #[arg(long, value_name = "TIME", value_parser = or_none(|text| parse_instant(text, Timestamp::now())))]
    not_before: Option<Edit<Timestamp>>,
    /// What happens when the outcome of an attempt cannot be known: review, retry or fail
    #[arg(long, value_name = "WHAT", value_parser = parse_word::<OnLost>)]
    on_lost: Option<OnLost>,
    /// Of your tasks with the same key at most one runs at a time; empty: no key
    #[arg(long, value_name = "KEY")]
    concurrency_key: Option<String>,
}

/// What becomes of a value that may be absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit<T> {
    Unset,
    Set(T),
}

fn or_none<T: Clone + Send + Sync + 'static>(
    parse: impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<Edit<T>, String> + Clone + Send + Sync + 'static {
    move |text| if text == "none" { Ok(Edit::Unset) } else { parse(text).map(Edit::Set) }
}

/// Changes each; chosen by label or state, those that have not started.
pub(crate) async fn run(session: Session, args: Args) -> Result<Exit, Stop> {
    let Args { chosen, edits } = args;
    let update = Change::Update(Box::new(request(edits)?));
    change::run(session, chosen, false, update).await
}

fn request(args: Edits) -> Result<UpdateTaskRequest, Stop> {
    let prompt = match (args.prompt, args.input_file) {
        (None, None) => None,
        (text, file) => Some(prompt(text, file.as_deref())?),
    };
    let mut unset = Vec::new();
    let mut request = UpdateTaskRequest {
        priority: args.priority,
        prompt,
        labels: args.added_labels.into_iter().collect(),
        remove_labels: args.remove_labels,
        timeout: take(&mut unset, "timeout", args.timeout).map(wire_duration),
        idle_timeout: take(&mut unset, "idle_timeout", args.idle_timeout).map(wire_duration),
        queue_timeout: take(&mut unset, "queue_timeout", args.queue_timeout).map(wire_duration),
        retries: args.retries,
        on_lost: args.on_lost.unwrap_or(OnLost::Unspecified).into(),
        not_before: take(&mut unset, "not_before", args.not_before).map(wire_time),
        ..UpdateTaskRequest::default()
    };
    let word = |text: Option<String>, none: &str| {
        text.map(|text| if text == none { Edit::Unset } else { Edit::Set(text) })
    };
    request.agent = take(&mut unset, "agent", word(args.agent, "any")).unwrap_or_default();
    let key = take(&mut unset, "concurrency_key", word(args.concurrency_key, ""));
    request.concurrency_key = key.unwrap_or_default();
    if args.capabilities == ["none"] {
        unset.push("capabilities".to_owned());
    } else {
        request.capabilities = args.capabilities;
    }
    request.unset = unset;
    if request == UpdateTaskRequest::default() {
        let complaint = Complaint::usage("nothing is to be changed");
        return Err(complaint.hint("name what is to be different, such as --priority 9").into());
    }
    Ok(request)
}

fn take<T>(unset: &mut Vec<String>, name: &str, edit: Option<Edit<T>>) -> Option<T> {
    match edit {
        None => None,
        Some(Edit::Set(value)) => Some(value),
        Some(Edit::Unset) => {
            unset.push(name.to_owned());
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn update(line: &[&str]) -> Result<UpdateTaskRequest, Stop> {
        request(Line::try_parse_from(["update", "t"].iter().chain(line)).unwrap().args.edits)
    }

    #[test]
    fn what_is_not_named_stays() {
        let request = update(&["--priority", "9", "--timeout", "none", "--agent", "any"]).unwrap();
        assert_eq!(request.unset, ["timeout", "agent"]);
        let expected = UpdateTaskRequest {
            priority: Some(9),
            unset: request.unset.clone(),
            ..UpdateTaskRequest::default()
        };
        assert_eq!(request, expected);
    }

    #[test]
    fn values_and_their_absence_are_told_apart() {
        let request = update(&["--queue-timeout", "10m", "--concurrency-key", "", "-c", "none"]).unwrap();
        assert_eq!(request.queue_timeout, Some(prost_types::Duration { seconds: 600, nanos: 0 }));
        assert_eq!(request.unset, ["concurrency_key", "capabilities"]);
        let request = update(&["--concurrency-key", "k", "-c", "a", "--prompt", "p"]).unwrap();
        assert_eq!((request.concurrency_key.as_str(), request.capabilities), ("k", vec!["a".to_owned()]));
        assert_eq!(request.prompt.as_deref(), Some("p"));
    }

    #[test]
    fn an_update_of_nothing_is_wrong_usage() {
        let Err(Stop::Complaint(complaint)) = update(&[]) else { panic!("accepted") };
        assert_eq!(complaint.exit, Exit::Usage);
    }
}
