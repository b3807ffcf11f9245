//! A command line that does not parse, in the one shape of errors: message, detail, hint.
//!
//! For: what clap says, laid out as everything else is. Not for: finding the mistake; clap does.

use clap::CommandFactory;

use crate::args::Args;
use crate::error::Complaint;

/// What clap complains about in a command line of these words.
pub(crate) fn complaint(error: &clap::Error, words: impl Iterator<Item = String>) -> Complaint {
    let text = error.to_string();
    let mut parts = Parts::default();
    for line in text.lines() {
        parts.take(line);
    }
    parts.complaint(&verb(words))
}

/// The program and the nouns and verbs among the words: where help is.
fn verb(words: impl Iterator<Item = String>) -> String {
    let mut command = Args::command();
    let mut path = command.get_name().to_owned();
    for word in words.skip(1) {
        if let Some(next) = command.find_subcommand(&word).cloned() {
            path = format!("{path} {}", next.get_name());
            command = next;
        }
    }
    path
}

/// The pieces of clap's text, which are the same for every kind of mistake.
#[derive(Default)]
struct Parts {
    message: String,
    details: Vec<String>,
    tips: Vec<String>,
    in_usage: bool,
}

impl Parts {
    fn take(&mut self, line: &str) {
        let words = line.trim();
        if let Some(message) = line.strip_prefix("error: ") {
            message.clone_into(&mut self.message);
        } else if let Some(tip) = words.strip_prefix("tip: ") {
            self.tips.push(tip.to_owned());
        } else if words.starts_with("Usage: ") {
            self.in_usage = true;
        } else if !self.in_usage && !words.is_empty() && !words.starts_with("For more information") {
            self.details.push(words.trim_matches(['[', ']']).to_owned());
        }
    }

    fn complaint(self, verb: &str) -> Complaint {
        let Self { message, details, mut tips, .. } = self;
        tips.push(format!("`{verb} --help` shows what it takes, with examples"));
        let complaint = Complaint::usage(message.trim_end_matches(':')).hint(tips.join("; "));
        match details.is_empty() {
            true => complaint,
            false => complaint.detail(details.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn of(line: &str) -> Complaint {
        let error = Args::try_parse_from(line.split(' ')).unwrap_err();
        complaint(&error, line.split(' ').map(str::to_owned))
    }

    #[test]
    fn a_wrong_word_is_told_with_the_right_ones() {
        let wrong = of("fusionctl task list --state sleepy");
        assert_eq!(wrong.message, "invalid value 'sleepy' for '--state <STATE>'");
        assert!(wrong.detail.unwrap().starts_with("possible values: blocked, deferred"));
        assert!(
            wrong.hint.unwrap().ends_with("`fusionctl task list --help` shows what it takes, with examples")
        );
    }

    #[test]
    fn what_was_perhaps_meant_is_the_hint() {
        let wrong = of("fusionctl taks list");
        assert_eq!(wrong.message, "unrecognized subcommand 'taks'");
        assert_eq!(
            wrong.hint.as_deref(),
            Some(
                "a similar subcommand exists: 'task'; `fusionctl --help` shows what it takes, with examples"
            )
        );
        assert!(of("fusionctl agent list --sate idle").hint.unwrap().contains("'--state'"));
    }

    #[test]
    fn what_is_missing_is_the_detail() {
        let wrong = of("fusionctl agent show");
        assert_eq!(wrong.message, "the following required arguments were not provided");
        assert_eq!(wrong.detail.as_deref(), Some("<AGENT>"));
    }
}
