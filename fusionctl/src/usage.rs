//! A command line that does not parse, in the one shape of errors: message, detail, hint.
//!
//! For: what clap says, laid out as everything else is. Not for: finding the mistake; clap does.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::ErrorKind;

use crate::args::Args;
use crate::elsewhere;
use crate::error::Complaint;

/// What clap complains about in a command line of these words.
pub(crate) fn complaint(error: &clap::Error, words: impl Iterator<Item = String>) -> Complaint {
    if error.kind() == ErrorKind::InvalidUtf8
        && let Some((place, word)) = unreadable(std::env::args_os().skip(1))
    {
        let message = format!("argument {place}, {word:?}, is no UTF-8 text");
        return Complaint::usage(message)
            .hint("only UTF-8 is taken: `locale charmap` shows what the terminal sends");
    }
    let text = error.to_string();
    let mut parts = Parts::default();
    for line in text.lines() {
        parts.take(line);
    }
    parts.complaint(&verb(words))
}

/// The place and the letters of the first word that is no UTF-8.
fn unreadable(words: impl Iterator<Item = OsString>) -> Option<(usize, OsString)> {
    (1..).zip(words).find(|(_, word)| word.to_str().is_none())
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
            self.message = in_words(message);
        } else if let Some(tip) = words.strip_prefix("tip: ") {
            self.tips.extend(Some(tip).filter(|tip| is_of_use(tip)).map(str::to_owned));
        } else if words.starts_with("Usage: ") {
            self.in_usage = true;
        } else if !self.in_usage && !words.is_empty() && !words.starts_with("For more information") {
            self.details.push(words.trim_matches(['[', ']']).to_owned());
        }
    }

    fn complaint(self, verb: &str) -> Complaint {
        let Self { message, details, mut tips, .. } = self;
        let unknown =
            message.strip_prefix("unrecognized subcommand '").and_then(|rest| rest.strip_suffix('\''));
        if let Some(instead) = unknown.and_then(|word| elsewhere::instead(verb, word)) {
            tips = vec![instead.to_owned()];
        }
        tips.push(format!("`{verb} --help` shows what it takes, with examples"));
        let complaint = Complaint::usage(message.trim_end_matches(':')).hint(tips.join("; "));
        match details.is_empty() {
            true => complaint,
            false => complaint.detail(details.join(", ")),
        }
    }
}

/// What the standard library says of numbers, said to people.
const NUMBERS: &[(&str, &str)] = &[
    ("invalid digit found in string", "it is no whole number"),
    ("cannot parse integer from empty string", "it is no whole number"),
    ("number too large to fit in target type", "it is too large"),
    ("number too small to fit in target type", "it is too small"),
];

fn in_words(message: &str) -> String {
    let range = message.rsplit_once(" is not in ");
    if let Some((before, (least, most))) =
        range.and_then(|(before, range)| Some((before, range.split_once("..=")?)))
    {
        return format!("{before} is not from {least} to {most}");
    }
    let known = NUMBERS.iter().find(|(said, _)| message.ends_with(said));
    known.map_or_else(|| message.to_owned(), |(said, words)| message.replace(said, words))
}

/// Nobody who misspelt a flag wants to give it as a text.
fn is_of_use(tip: &str) -> bool {
    !tip.starts_with("to pass '-")
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use clap::Parser;

    use super::*;

    fn of(line: &str) -> Complaint {
        let error = Args::try_parse_from(line.split(' ')).unwrap_err();
        complaint(&error, line.split(' ').map(str::to_owned))
    }

    #[test]
    fn a_word_that_is_no_text_is_named_by_its_place() {
        let words = [OsString::from("task"), OsString::from_vec(vec![b'a', 0xff])];
        assert_eq!(unreadable(words.clone().into_iter()), Some((2, words[1].clone())));
        assert_eq!(unreadable(words.into_iter().take(1)), None);
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
    fn a_verb_of_other_tools_is_told_as_ours() {
        let hint = of("fusionctl workflow reject run_1 gate").hint.unwrap();
        assert!(hint.starts_with("`fusionctl workflow approve RUN NODE --reject` says no; "), "{hint}");
        let hint = of("fusionctl ps").hint.unwrap();
        assert!(hint.starts_with("`fusionctl agent list` shows agents; "), "{hint}");
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
    fn a_wrong_number_is_said_in_words() {
        let wrong = of("fusionctl task submit x --priority high");
        assert_eq!(wrong.message, "invalid value 'high' for '--priority <N>': it is no whole number");
        let wrong = of("fusionctl task submit x --priority 10");
        assert_eq!(wrong.message, "invalid value '10' for '--priority <N>': 10 is not from 0 to 9");
        let wrong = of("fusionctl agent spawn x --profile p --frobnicate");
        assert_eq!(
            wrong.hint.as_deref(),
            Some("`fusionctl agent spawn --help` shows what it takes, with examples")
        );
    }

    #[test]
    fn what_is_missing_is_the_detail() {
        let wrong = of("fusionctl agent show");
        assert_eq!(wrong.message, "the following required arguments were not provided");
        assert_eq!(wrong.detail.as_deref(), Some("<AGENT>"));
    }
}
