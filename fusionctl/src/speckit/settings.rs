//! What the environment says of how prompts of spec-kit are done. Not for: where the daemon is (`client`).

use fusion_proto::v1::RunTaskRequest;

use super::argv::Asked;
use crate::commands::task::submit::whole_path;
use crate::error::{Complaint, Exit, Stop};

/// How prompts are done.
#[derive(Debug)]
pub(super) struct Settings {
    /// What the agent is made of.
    pub(super) profile: String,
    /// Flags of `fusionctl run`.
    flags: Vec<String>,
}

const PROFILE: &str = "FUSION_RUN_PROFILE";
const FLAGS: &str = "FUSION_RUN_FLAGS";

impl Settings {
    /// From the environment; `names` are all variables that are set.
    pub(super) fn read(
        env: impl Fn(&str) -> Option<String>,
        names: impl Iterator<Item = String>,
    ) -> Result<Self, Stop> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let flags = split(&set(FLAGS).unwrap_or_default()).ok_or_else(|| {
            let complaint =
                Complaint::new(Exit::Usage, "usage", format!("a quote in {FLAGS} is never closed"));
            Stop::from(complaint)
        })?;
        if let Some(profile) = set(PROFILE) {
            return Ok(Self { profile, flags });
        }
        let is_ours =
            |name: &String| set(name).is_some_and(|value| value.rsplit('/').next() == Some("fusion-run"));
        let mut keys: Vec<String> = names.filter(is_ours).filter_map(|name| key_of(&name)).collect();
        keys.sort();
        match keys.as_slice() {
            [key] => Ok(Self { profile: key.clone(), flags }),
            [] => Err(undecided("it is not said what the agent is made of")),
            several => Err(undecided(&format!("spec-kit calls fusion-run for {}", several.join(", ")))),
        }
    }

    /// The task for a prompt, in the folder here.
    pub(super) fn request(&self, asked: &Asked) -> Result<RunTaskRequest, Stop> {
        let here =
            std::env::current_dir().map_err(|error| Complaint::unreadable("the folder here", &error))?;
        let workdir = whole_path(&here);
        let mut words = vec![self.profile.clone()];
        let has_folder =
            self.flags.iter().any(|flag| flag.starts_with("--workdir") || flag.starts_with("--from"));
        if !has_folder {
            words.extend(["--workdir".to_owned(), workdir]);
        }
        words.extend(self.flags.iter().cloned());
        if let Some(model) = &asked.model {
            words.extend(["--env".to_owned(), format!("SPECKIT_MODEL={model}")]);
        }
        let mut request = super::request_of(&words)?;
        if let Some(task) = &mut request.task {
            task.prompt.clone_from(&asked.prompt);
            task.labels.entry("speckit".to_owned()).or_insert_with(|| "step".to_owned());
        }
        Ok(request)
    }
}

/// `SPECKIT_INTEGRATION_CURSOR_AGENT_EXECUTABLE` is of `cursor-agent`.
fn key_of(name: &str) -> Option<String> {
    let key = name.strip_prefix("SPECKIT_INTEGRATION_")?.strip_suffix("_EXECUTABLE")?;
    Some(key.to_lowercase().replace('_', "-"))
}

fn undecided(why: &str) -> Stop {
    Complaint::new(Exit::Usage, "usage", "no profile is named")
        .detail(why)
        .hint(format!("set {PROFILE} to one of `fusionctl profile list`"))
        .into()
}

/// Words as a shell splits them, with quotes and backslashes; `None`: a quote is never closed.
fn split(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match signs.next()? {
                        '\'' => break,
                        sign => word.push(sign),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match signs.next()? {
                        '"' => break,
                        '\\' => word.push(signs.next()?),
                        sign => word.push(sign),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(signs.next()?),
            sign if sign.is_whitespace() => words.extend(word.take()),
            sign => word.get_or_insert_default().push(sign),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Stop> {
        let env =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(env, pairs.iter().map(|(name, _)| (*name).to_owned()))
    }

    #[test]
    fn the_profile_is_the_one_named_or_that_of_the_integration() {
        let claude = ("SPECKIT_INTEGRATION_CLAUDE_EXECUTABLE", "/usr/bin/fusion-run");
        let cursor = ("SPECKIT_INTEGRATION_CURSOR_AGENT_EXECUTABLE", "fusion-run");
        let other = ("SPECKIT_INTEGRATION_CODEX_EXECUTABLE", "/opt/codex");
        assert_eq!(read(&[claude, other]).unwrap().profile, "claude");
        assert_eq!(read(&[cursor]).unwrap().profile, "cursor-agent");
        assert_eq!(read(&[claude, cursor, (PROFILE, "mine")]).unwrap().profile, "mine");
        assert!(read(&[claude, cursor]).is_err() && read(&[other]).is_err());
    }

    #[test]
    fn flags_are_split_as_a_shell_does() {
        assert_eq!(
            split(" --env 'A=b c' --name \"x\\\"y\" a\\ b ''").unwrap(),
            ["--env", "A=b c", "--name", "x\"y", "a b", ""]
        );
        assert_eq!(split("'open"), None);
        assert!(read(&[(PROFILE, "p"), (FLAGS, "\"")]).is_err());
    }

    #[test]
    fn a_prompt_becomes_a_task_in_the_folder_here() {
        let settings = read(&[(PROFILE, "p"), (FLAGS, "--timeout 1h --memory 1G")]).unwrap();
        let asked = Asked { prompt: "-x".to_owned(), model: Some("m".to_owned()), ..Asked::default() };
        let request = settings.request(&asked).unwrap();
        let (agent, task) = (request.agent.unwrap(), request.task.unwrap());
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            (agent.profile.as_str(), task.prompt.as_str(), task.workdir.as_str()),
            ("p", "-x", here.to_str().unwrap())
        );
        assert_eq!((task.env["SPECKIT_MODEL"].as_str(), task.timeout.unwrap().seconds), ("m", 3600));
        assert!(read(&[(PROFILE, "p"), (FLAGS, "--nonsense")]).unwrap().request(&asked).is_err());
    }
}
