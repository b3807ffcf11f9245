//! Files of environment variables, as `docker run --env-file` reads them: `KEY=VALUE` a line, nothing
//! quoted and nothing expanded; `KEY` alone takes the value from this program's own environment and is
//! left out when it has none; empty lines and lines that begin with `#` say nothing.
//!
//! Not for: limits; only the daemon knows those.

use std::path::{Path, PathBuf};

use crate::error::{Complaint, Exit, Stop};
use crate::units::parse_pair;

/// The options that make an environment.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Env {
    /// Added to the environment of each attempt (may be repeated)
    #[arg(long, short, value_name = "KEY=VALUE", value_parser = parse_pair)]
    env: Vec<(String, String)>,
    /// Add the variables of a file: KEY=VALUE, or KEY for your own value, one a line; --env wins (may be
    /// repeated)
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
}

impl Env {
    /// All variables: those of later files win over earlier ones, and those of `--env` over all files.
    pub(crate) fn read<M: FromIterator<(String, String)>>(self) -> Result<M, Stop> {
        let mut all = Vec::new();
        for path in &self.env_file {
            all.extend(read(path)?);
        }
        all.extend(self.env);
        // Of the same name the last one stays.
        Ok(all.into_iter().collect())
    }
}

fn read(path: &Path) -> Result<Vec<(String, String)>, Stop> {
    let name = path.display().to_string();
    let text = std::fs::read(path).map_err(|error| Complaint::unreadable(&name, &error))?;
    let own = |key: &str| std::env::var_os(key).and_then(|value| value.into_string().ok());
    parse(&text, own).map_err(|problem| {
        let message = format!("{name}, {problem}");
        let hint = "write KEY=VALUE, or KEY alone to pass your own value on, one a line";
        Complaint::new(Exit::Usage, "env_file_invalid", message).hint(hint).into()
    })
}

/// The variables of a file; `own` looks into the caller's environment. Values never stand in an error.
fn parse(text: &[u8], own: impl Fn(&str) -> Option<String>) -> Result<Vec<(String, String)>, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut all = Vec::new();
    for (line, number) in text.split(|byte| *byte == b'\n').zip(1..) {
        let wrong = |what: &str| format!("line {number}: {what}");
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = str::from_utf8(line).map_err(|_| wrong("it is not UTF-8 text"))?.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (line.trim_end(), own(line.trim_end())),
        };
        match key {
            "" => return Err(wrong("there is no name before the `=`")),
            key if key.contains(char::is_whitespace) => return Err(wrong("the name holds a space")),
            key if key.contains('\0') => return Err(wrong("the name holds a NUL byte")),
            key => all.extend(value.map(|value| (key.to_owned(), value))),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<(String, String)>, String> {
        parse(text, |key| (key == "HOME").then(|| "/home/ada".to_owned()))
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn values_are_taken_as_they_stand() {
        let text = b"\xef\xbb\xbfA=1\r\n\n# comment\n  B= two words # kept \nC=\"quoted\"\nD=a=b\nE=";
        let expected =
            [("A", "1"), ("B", " two words # kept "), ("C", "\"quoted\""), ("D", "a=b"), ("E", "")];
        assert_eq!(read(text), Ok(pairs(&expected)));
    }

    #[test]
    fn a_name_alone_passes_the_own_value_on_if_there_is_one() {
        assert_eq!(read(b"HOME\nNOTHING\n"), Ok(pairs(&[("HOME", "/home/ada")])));
    }

    #[test]
    fn mistakes_name_their_line_and_no_value() {
        for (text, problem) in [
            (&b"A=1\n=secret\n"[..], "line 2: there is no name before the `=`"),
            (b"export A=secret", "line 1: the name holds a space"),
            (b"A=1\nB=\xff", "line 2: it is not UTF-8 text"),
            (b"A\0=1", "line 1: the name holds a NUL byte"),
        ] {
            assert_eq!(read(text), Err(problem.to_owned()));
        }
    }

    #[test]
    fn what_is_named_on_the_command_line_wins() {
        let file = std::env::temp_dir().join(format!("fusionctl-env-{}", std::process::id()));
        std::fs::write(&file, "A=file\nB=file\n").unwrap();
        let env = Env { env: pairs(&[("A", "flag")]), env_file: vec![file.clone()] };
        let all: std::collections::BTreeMap<String, String> = env.read().unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!((all["A"].as_str(), all["B"].as_str()), ("flag", "file"));
    }
}
