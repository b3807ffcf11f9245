//! Man pages, made from a program's own command line: one for the program, one for each noun and verb.
//!
//! What stands behind the options of `--help` becomes sections: `Examples:` is EXAMPLES. Options of every verb stand
//! on the program's page alone. Not here: the words themselves; they stand beside each verb.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

/// Where the pages are kept; without it they are written, looked at and dropped.
const FOLDER: &str = "FUSION_MAN_DIR";

/// The package whose manual the pages are.
const MANUAL: &str = "fusiond";

/// Writes all pages of a program for a section of the manual, and looks at how they render.
///
/// # Panics
/// When a page cannot be written, or `mandoc` complains about it.
pub fn write(program: Command, section: &str, see_also: &[&str]) -> Vec<PathBuf> {
    let kept = std::env::var_os(FOLDER).map(PathBuf::from);
    let dropped = tempfile::tempdir().expect("a temporary folder");
    let folder = kept.unwrap_or_else(|| dropped.path().to_owned());
    fs::create_dir_all(&folder).expect("the folder can be made");
    let mut program = program.disable_help_subcommand(true);
    program.build();
    let mut pages = Vec::new();
    for command in all(&program) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
        let path = folder.join(format!("{name}.{section}"));
        let see_also = if name == program.get_name() { see_also.to_vec() } else { vec![program.get_name()] };
        fs::write(&path, page(command, section, &see_also)).expect("the folder takes a page");
        render(&path);
        pages.push(path);
    }
    pages
}

/// The command and everything below it that is shown.
fn all(command: &Command) -> Vec<Command> {
    let below = command.get_subcommands().filter(|verb| !verb.is_hide_set()).flat_map(all);
    std::iter::once(command.clone()).chain(below).collect()
}

fn page(mut command: Command, section: &str, see_also: &[&str]) -> Vec<u8> {
    let usage = command.render_usage().to_string();
    let (before, after) = sections(&command);
    let is_top = command.get_version().is_some();
    let hidden = |argument: clap::Arg| if is_top { argument } else { hide_global(argument) };
    let command = command.mut_args(hidden);
    let has_options = command.get_arguments().any(|argument| !argument.is_hide_set());
    let man = Man::new(command.clone()).section(section).manual(MANUAL);
    let mut out = Vec::new();
    let wrote = (|| -> std::io::Result<()> {
        man.render_title(&mut out)?;
        man.render_name_section(&mut out)?;
        put(&mut out, "SYNOPSIS", usage.trim_start_matches("Usage: "))?;
        man.render_description_section(&mut out)?;
        for paragraph in before.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
            let mut roff = Roff::new();
            roff.control("PP", []);
            roff.text([roman(paragraph)]);
            roff.to_writer(&mut out)?;
        }
        if has_options {
            man.render_options_section(&mut out)?;
        }
        if command.has_subcommands() {
            man.render_subcommands_section(&mut out)?;
        }
        for (heading, body) in after {
            put(&mut out, &heading, &body)?;
        }
        let also: Vec<String> = see_also.iter().map(|name| of_section(name, section)).collect();
        put(&mut out, "SEE ALSO", &also.join(", "))
    })();
    wrote.expect("a Vec takes everything");
    out
}

fn of_section(name: &str, section: &str) -> String {
    if name.ends_with(')') { name.to_owned() } else { format!("{name}({section})") }
}

fn hide_global(argument: clap::Arg) -> clap::Arg {
    let hide = argument.is_global_set() || argument.get_id() == "help";
    argument.hide(hide)
}

/// A section whose lines stand as they are.
fn put(out: &mut Vec<u8>, heading: &str, body: &str) -> std::io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    roff.control("nf", []);
    for line in body.trim_matches('\n').lines() {
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line).trim_end())]);
    }
    roff.control("fi", []);
    roff.to_writer(out)
}

/// What stands behind the options: words before the first heading, and each heading with its lines.
fn sections(command: &Command) -> (String, Vec<(String, String)>) {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let mut before = String::new();
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (heading(line), found.last_mut()) {
            (Some((word, rest)), _) => found.push((word.to_uppercase(), format!("{}\n", rest.trim()))),
            (None, Some((_, body))) => body.push_str(&format!("{line}\n")),
            (None, None) => before.push_str(&format!("{line}\n")),
        }
    }
    (before, found)
}

/// `Word:` or `Two words:` at the beginning of a line, and what follows.
fn heading(line: &str) -> Option<(&str, &str)> {
    let (word, rest) = line.split_once(':')?;
    let is_heading = word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.split(' ').count() <= 2
        && word.chars().all(|c| c.is_ascii_alphabetic() || c == ' ');
    is_heading.then_some((word, rest))
}

/// As `man -l` shows it: without a complaint, and not empty.
fn render(page: &Path) {
    let shown = Process::new("mandoc").args(["-Tutf8", "-Wunsupp"]).arg(page).output();
    let shown = shown.expect("mandoc is not installed: run `apt-get install mandoc`, or `cargo xtask test`");
    let said = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && !shown.stdout.is_empty(), "{}: {said}", page.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_behind_the_options_becomes_sections() {
        let help = "First words.\n\nMore: of them.\n\nExamples:\n  a -b   # ! it's\n\nExit codes: 0 done";
        let command = Command::new("a").about("does").after_help(help);
        let text = String::from_utf8(page(command, "8", &["b", "c(1)"])).unwrap();
        assert!(text.contains(".SH EXAMPLES\n.nf\na \\-b   # ! it\\*(Aqs\n"), "{text}");
        assert!(text.contains(".SH \"EXIT CODES\"\n.nf\n0 done\n"), "{text}");
        assert!(text.contains(".SH \"SEE ALSO\"\n.nf\nb(8), c(1)\n"), "{text}");
        let (description, _) = text.split_once("EXAMPLES").unwrap();
        assert!(description.contains("First words."), "{text}");
    }
}
