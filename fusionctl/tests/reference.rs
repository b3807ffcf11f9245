//! `docs/reference/cli.md` is what the command line itself says, and its examples parse; the index of
//! refusals lists every page.
//!
//! `cargo xtask docs` writes it anew. Not for: what a verb does; stories tell that.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, Command};

const HEAD: &str = "\
# fusionctl

<!-- Written from the command line by a test; after a change or a conflict: cargo xtask docs -->

Every verb with what it takes, as `--help` says it. What is printed as JSON, and the exit codes, are stable.
";

#[test]
fn the_written_reference_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/cli.md");
    let fresh = reference();
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &fresh).expect("the reference can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == fresh, "docs/reference/cli.md differs from the command line: run cargo xtask docs");
}

#[test]
fn the_index_of_refusals_is_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/errors");
    let path = folder.join("README.md");
    let written = std::fs::read_to_string(&path).expect("the index is there");
    let (head, rest) = written.split_once(BEGIN).expect("the index has a table");
    let (_, tail) = rest.split_once(END).expect("the table of the index ends");
    let fresh = format!("{head}{BEGIN}\n{}{END}{tail}", index(&folder));
    if std::env::var_os("UPDATE_GENERATED").is_some() {
        std::fs::write(&path, &fresh).expect("the index can be written");
        return;
    }
    assert!(written == fresh, "docs/reference/errors/README.md lists other pages: run cargo xtask docs");
}

/// Around the table that is written from the pages.
const BEGIN: &str = "<!-- written from the pages of this folder: cargo xtask docs -->";
const END: &str = "<!-- end -->";

/// A line for each page: its code, its first sentence, and what it says about status and exit code.
fn index(folder: &Path) -> String {
    let mut out =
        String::from("\n| Code | What it says | gRPC status | Exit code |\n| --- | --- | --- | --- |\n");
    let entries = std::fs::read_dir(folder).expect("the folder can be read");
    let mut pages: Vec<_> = entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    pages.sort();
    for page in pages.iter().filter(|page| !page.ends_with("README.md")) {
        let text = std::fs::read_to_string(page).expect("a page can be read");
        let code = page.file_stem().and_then(|name| name.to_str()).expect("pages have names of letters");
        let between = |from: &str, to: &str| {
            let found = text.split_once(from).and_then(|(_, rest)| rest.split_once(to));
            found
                .map(|(words, _)| words.trim().replace('|', "\\|"))
                .unwrap_or_else(|| panic!("{code}.md has no {from:?}"))
        };
        let (says, status) = (between("> error: ", "\n"), between("gRPC status `", "`"));
        let exit = between("exit code of `fusionctl` ", ".");
        writeln!(out, "| [{code}]({code}.md) | {says} | {status} | {exit} |")
            .expect("a String takes everything");
    }
    out.push('\n');
    out
}

#[test]
fn every_verb_says_what_it_does_and_shows_examples_that_parse() {
    let mut faults = Vec::new();
    for (path, verb) in verbs() {
        if verb.get_about().is_none_or(|about| about.to_string().len() <= 10) {
            faults.push(format!("{path} says nothing"));
        }
        let examples: Vec<String> = examples(&verb).into_iter().filter(|line| calls(line, &path)).collect();
        if examples.is_empty() {
            faults.push(format!("{path} has no example"));
        }
        for line in examples {
            if let Err(error) = parse(&line) {
                faults.push(format!("the example `{line}` of {path} does not parse: {error}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_argument_says_what_it_is_for() {
    let mut faults = Vec::new();
    for (path, verb) in verbs() {
        for argument in verb.get_arguments().filter(|argument| !argument.is_hide_set()) {
            if argument.get_help().is_none() {
                faults.push(format!("{path}: {} says nothing", argument.get_id()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn texts_behind_the_options_fit_where_help_is_wrapped() {
    let mut faults = Vec::new();
    for (path, verb) in verbs() {
        let text = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        let words = text.lines().filter(|line| !line.starts_with(' '));
        let long = words.filter(|line| line.chars().count() > 100);
        faults.extend(long.map(|line| format!("{path}: {line}")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Every verb that is shown, with all words before its arguments.
fn verbs() -> Vec<(String, Command)> {
    fn collect(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set());
        let mut any = false;
        for verb in verbs {
            any = true;
            collect(verb, &format!("{path} {}", verb.get_name()), found);
        }
        if !any {
            found.push((path.to_owned(), command.clone()));
        }
    }
    let mut found = Vec::new();
    collect(&built(), "fusionctl", &mut found);
    found
}

fn built() -> Command {
    let mut command = fusionctl::command();
    command.build();
    command
}

/// The indented lines of the text behind the options.
fn examples(verb: &Command) -> Vec<String> {
    let text = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix("  ")).map(str::to_owned).collect()
}

/// Whether a line runs this verb, perhaps behind a pipe.
fn calls(line: &str, path: &str) -> bool {
    call_in(line).is_some_and(|call| call == path || call.starts_with(&format!("{path} ")))
}

fn call_in(line: &str) -> Option<&str> {
    let at = line.find("fusionctl ")?;
    let call = &line[at..];
    let is_substituted = line[..at].ends_with("$(");
    Some(call.rsplit_once(')').filter(|_| is_substituted).map_or(call, |(inside, _)| inside))
}

/// Parses a line as a shell would cut it, up to a pipe or a redirection.
fn parse(line: &str) -> Result<(), String> {
    let call = call_in(line).unwrap_or(line);
    let words = shell_words(call).ok_or("its quotes are not closed")?;
    let ends = |word: &str| word.trim_start_matches(['1', '2']).starts_with(['|', '>', '<', '&', ';']);
    let words = words.into_iter().take_while(|word| !ends(word));
    fusionctl::command().try_get_matches_from(words).map(drop).map_err(|error| error.to_string())
}

/// Words of a line with single quotes, double quotes and backslashes.
fn shell_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if open == letter => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().push(letters.next()?),
            (None, ' ') => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

fn reference() -> String {
    let mut out = String::from(HEAD);
    let top = built();
    out.push_str("\n## Everywhere\n\n");
    for argument in top.get_arguments().filter(|argument| argument.is_global_set()) {
        option(&mut out, argument);
    }
    if let Some(after) = top.get_after_help() {
        write!(out, "\n```text\n{}\n```\n", after.to_string().trim_end()).expect("a String takes everything");
    }
    for (path, verb) in verbs() {
        section(&mut out, &path, verb);
    }
    out
}

fn section(out: &mut String, path: &str, mut verb: Command) {
    let about =
        verb.get_long_about().or_else(|| verb.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = verb.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    write!(out, "\n## {path}\n\n{about}.\n\n```text\n{usage}\n```\n").expect("a String takes everything");
    let arguments: Vec<&Arg> = verb
        .get_arguments()
        .filter(|argument| !argument.is_global_set() && !argument.is_hide_set())
        .collect();
    let arguments: Vec<&Arg> = arguments.into_iter().filter(|argument| argument.get_id() != "help").collect();
    if !arguments.is_empty() {
        out.push('\n');
    }
    for argument in arguments {
        option(out, argument);
    }
    if let Some(after) = verb.get_after_help() {
        write!(out, "\n```text\n{}\n```\n", after.to_string().trim_end()).expect("a String takes everything");
    }
}

fn option(out: &mut String, argument: &Arg) {
    let takes = argument.get_action().takes_values();
    let names = argument.get_value_names().unwrap_or_default();
    let value = names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ");
    let mut name = match (argument.get_short(), argument.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (None, Some(long)) => format!("--{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, None) => String::new(),
    };
    if takes {
        name = format!("{name} {value}").trim().to_owned();
    }
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let mut line = format!("- `{name}`: {help}");
    let words: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|word| takes && !word.is_hide_set())
        .map(|word| format!("`{}`", word.get_name()))
        .collect();
    if !words.is_empty() {
        line = format!("{line}: {}", words.join(", "));
    }
    let defaults: Vec<_> = argument.get_default_values().iter().filter_map(|value| value.to_str()).collect();
    if takes && !defaults.is_empty() {
        line = format!("{line} (default `{}`)", defaults.join(", "));
    }
    writeln!(out, "{line}").expect("a String takes everything");
}
