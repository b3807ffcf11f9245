//! The words with which spec-kit calls an agent's command: the prompt in them, the model, whether JSON is asked for. Its
//! integrations build them in many ways.
//!
//! Not for: what becomes of the prompt.

use std::collections::BTreeMap;

use serde_json::json;

use super::recipe::Recipe;
use crate::error::{Complaint, Stop};

/// What spec-kit asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// The prompt; of a recipe, nothing until it was read.
    pub(super) prompt: String,
    /// The recipe that holds the prompt, if there is one.
    pub(super) recipe: Option<Recipe>,
    /// The model, if one is named.
    pub(super) model: Option<String>,
    /// Whether the answer is to be JSON.
    pub(super) wants_json: bool,
    /// Options that are not understood.
    pub(super) others: Vec<String>,
}

/// What a command line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A call for help.
    Help,
    /// The question for the version.
    Version,
    /// A prompt.
    Asked(Asked),
}

/// Words before the first option that say what to do.
const VERBS: [&str; 4] = ["exec", "run", "chat", "rovodev"];
/// Options behind which the prompt may stand.
const PROMPTS: [&str; 7] = ["-p", "--print", "--prompt", "--execute", "-t", "--text", "-q"];
/// Options with a value of their own.
const VALUES: [&str; 12] = [
    "--add-dir",
    "--permission",
    "--profile",
    "--agent",
    "--permission-mode",
    "--sandbox",
    "--allowedTools",
    "--disallowedTools",
    "--max-turns",
    "--append-system-prompt",
    "-C",
    "--cd",
];
/// Options that are known, and mean nothing to a supervised agent: it asks nobody.
const FLAGS: [&str; 15] = [
    "--trust",
    "--approve-mcps",
    "--force",
    "--accept-license",
    "--yolo",
    "--always-approve",
    "-Q",
    "--quiet",
    "--dangerously-skip-permissions",
    "--skip-git-repo-check",
    "--full-auto",
    "--no-session",
    "--verbose",
    "--auto",
    "--pure",
];

impl Asked {
    /// Reads the words behind the program's name.
    pub(super) fn parse(args: &[String]) -> Result<Line, Stop> {
        match args.first().map(String::as_str) {
            Some("-h" | "--help") => return Ok(Line::Help),
            Some("-V" | "--version") => return Ok(Line::Version),
            _ => {}
        }
        let mut asked = Self::default();
        let mut words = args.iter().map(String::as_str).peekable();
        while words.next_if(|word| VERBS.contains(word)).is_some() {}
        let (mut prompt, mut command, mut recipe, mut params) = (None, None, None, BTreeMap::new());
        while let Some(word) = words.next() {
            let mut value = |what: &str| words.next().map(str::to_owned).ok_or_else(|| missing(what));
            match word {
                "--model" | "-m" => asked.model = Some(value(word)?),
                "--output-format" | "--output" | "--mode" | "--format" | "-f" => {
                    asked.wants_json |= value(word)?.contains("json")
                }
                "--json" | "--stream-json" => asked.wants_json = true,
                "--output-schema" => {
                    drop(value(word)?);
                    asked.wants_json = true;
                }
                "--command" => command = Some(value(word)?),
                "--recipe" => recipe = Some(value(word)?),
                "--params" => params.extend([named(&value(word)?)?]),
                word if PROMPTS.contains(&word) => {
                    if let Some(text) = words.next_if(|next| !is_known(next)) {
                        prompt.get_or_insert(text.to_owned());
                    }
                }
                word if VALUES.contains(&word) => asked.others.push(format!("{word} {}", value(word)?)),
                word if FLAGS.contains(&word) => {}
                word if word.starts_with('-') && !word.contains(char::is_whitespace) => {
                    asked.others.push(word.to_owned())
                }
                word if prompt.is_none() => prompt = Some(word.to_owned()),
                word => asked.others.push(word.to_owned()),
            }
        }
        asked.prompt = match (command, prompt) {
            (None, prompt) => prompt.unwrap_or_default(),
            (Some(command), None) => format!("/{command}"),
            (Some(command), Some(rest)) => format!("/{command} {rest}"),
        };
        asked.recipe = recipe.map(|path| Recipe { path, params });
        if asked.recipe.is_some() && !asked.prompt.is_empty() {
            return Err(Complaint::usage("there is a prompt besides the recipe")
                .detail(args.join(" "))
                .into());
        }
        if asked.recipe.is_none() && asked.prompt.is_empty() {
            let complaint =
                Complaint::usage("there is no prompt among the words that fusion-run was called with");
            return Err(complaint.detail(args.join(" ")).hint("fusion-run --help").into());
        }
        Ok(Line::Asked(asked))
    }
}

/// A word that is an option, not a prompt that begins like one.
fn is_known(word: &str) -> bool {
    let others = [
        "--model",
        "-m",
        "--output-format",
        "--output",
        "--mode",
        "--format",
        "-f",
        "--json",
        "--stream-json",
    ];
    [&PROMPTS[..], &VALUES, &FLAGS, &others].iter().any(|words| words.contains(&word))
}

fn missing(option: &str) -> Stop {
    Complaint::usage(format!("{option} needs a value")).hint("fusion-run --help").into()
}

/// Something that is filled into a recipe.
fn named(param: &str) -> Result<(String, String), Stop> {
    let (name, value) = param
        .split_once('=')
        .ok_or_else(|| Complaint::usage(format!("--params takes NAME=VALUE, not {param}")))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The result as spec-kit asks for it.
pub(super) fn answer(asked: &Asked, task: &str, is_success: bool, result: Vec<u8>) -> Vec<u8> {
    if !asked.wants_json {
        let ends = result.is_empty() || result.ends_with(b"\n");
        return if ends { result } else { [result, b"\n".to_vec()].concat() };
    }
    let subtype = if is_success { "success" } else { "error" };
    let result = String::from_utf8_lossy(&result);
    let object = json!({"type": "result", "subtype": subtype, "is_error": !is_success, "result": result, "session_id": task});
    format!("{object}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &[&str]) -> Asked {
        let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        match Asked::parse(&words) {
            Ok(Line::Asked(asked)) => asked,
            Ok(Line::Help | Line::Version) | Err(_) => panic!("{line:?}"),
        }
    }

    #[test]
    fn every_form_in_which_integrations_call_has_its_prompt_found() {
        let json = "{\"type\": \"object\"}";
        let forms: &[&[&str]] = &[
            &["--model", "M", "--output-format", "json", "--add-dir", "/p", "--print", "P"],
            &["-p", "P", "--model", "M", "--output-format", "json"],
            &["--execute", "P", "--stream-json"],
            &["run", "--trust", "--accept-license", "-f", "json", "P"],
            &["exec", "P", "--model", "M", "--json"],
            &["exec", "P", "--skip-git-repo-check", "--json"],
            &["-p", "P", "--yolo", "--model", "M", "--output-format", "json"],
            &["-p", "--trust", "--approve-mcps", "--force", "P", "--model", "M", "--output-format", "json"],
            &["-p", "P", "-m", "M", "--output-format", "json"],
            &["run", "--model", "M", "--output-format", "json", "-t", "P"],
            &["chat", "-Q", "-m", "M", "--json", "-q", "P"],
            &["exec", "P", "--permission", "full", "--model", "M", "--output-format", "json"],
            &["--print", "--model", "M", "--mode", "json", "P"],
            &["run", "-m", "M", "--format", "json", "P"],
            &["run", "--agent", "build", "-m", "M", "--format", "json", "P"],
            &["rovodev", "run", "P", "--output-schema", json],
            &["-p", "P", "--output", "json"],
        ];
        for form in forms {
            let asked = asked(form);
            assert_eq!((asked.prompt.as_str(), asked.wants_json), ("P", true), "{form:?}");
            assert_eq!(asked.model.is_some(), form.contains(&"M"), "{form:?}");
        }
        assert_eq!(asked(&["--profile", "headless", "P"]).prompt, "P");
    }

    #[test]
    fn a_prompt_may_begin_like_an_option_and_what_is_not_understood_is_kept() {
        let told = asked(&["-p", "- [ ] T001 do it", "--foo", "bar", "--model", "m"]);
        assert_eq!(
            (told.prompt.as_str(), told.others),
            ("- [ ] T001 do it", vec!["--foo".to_owned(), "bar".to_owned()])
        );
        assert_eq!(asked(&["run", "--command", "speckit.plan", "make it"]).prompt, "/speckit.plan make it");
        for line in [
            &["-p"][..],
            &[],
            &["run", "--recipe", "a.yaml", "-t", "x"],
            &["run", "--recipe", "a.yaml", "--params", "x"],
            &["-p", "x", "--model"],
        ] {
            let words: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
            assert!(Asked::parse(&words).is_err(), "{line:?}");
        }
    }

    #[test]
    fn a_recipe_is_kept_with_what_is_filled_in() {
        let line =
            ["run", "--model", "M", "--output-format", "json", "--recipe", "a.yaml", "--params", "args=x=1"];
        let told = asked(&line);
        assert!(told.wants_json && told.prompt.is_empty(), "{told:?}");
        let params = BTreeMap::from([("args".to_owned(), "x=1".to_owned())]);
        assert_eq!(told.recipe, Some(Recipe { path: "a.yaml".to_owned(), params }));
    }

    #[test]
    fn an_answer_has_the_form_that_is_asked_for() {
        let text = asked(&["-p", "P"]);
        assert_eq!(answer(&text, "t", true, b"done".to_vec()), b"done\n");
        let json = answer(&asked(&["-p", "P", "--json"]), "tsk_1", false, b"no\n".to_vec());
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!((&json["result"], &json["is_error"]), (&json!("no\n"), &json!(true)));
    }
}
