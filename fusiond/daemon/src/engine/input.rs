//! What is stored beside a task: its sizes and texts checked, its length, its title.
//!
//! Not for: where the words come from; a door has them from a caller, a run from a definition.

use crate::runtime::TaskInput;
use fusion_core::Reject;
use fusion_core::task::TaskKind;

/// The longest prompt in a request; a longer one is stored before.
pub(crate) const PROMPT_BYTES_MAX: usize = 1 << 20;

/// The longest command, all arguments together; one argument may have 128 KiB (execve(2),
/// `MAX_ARG_STRLEN`).
pub(crate) const COMMAND_BYTES_MAX: usize = 256 << 10;
const ARGUMENT_BYTES_MAX: usize = (128 << 10) - 1;

/// How much of the first line tables show.
const TITLE_CHARS_MAX: usize = 80;

/// What is stored beside a task, with its sizes and texts checked.
pub(crate) fn plan_input(
    prompt: String,
    run: Vec<String>,
    env: Vec<(String, String)>,
    is_interactive: bool,
) -> Result<TaskInput, Reject> {
    if prompt.len() > PROMPT_BYTES_MAX {
        return Err(Reject::TooLarge { what: "the prompt", bytes: prompt.len(), limit: PROMPT_BYTES_MAX });
    }
    if run.is_empty() {
        // Who types may begin with nothing.
        if prompt.is_empty() && !is_interactive {
            return Err(Reject::FieldMissing { field: "prompt" });
        }
        if prompt.contains('\0') {
            return Err(Reject::NulByte { what: "the prompt".to_owned() });
        }
        return Ok(TaskInput { kind: TaskKind::Prompt, prompt, run, env, stored: None });
    }
    if !prompt.is_empty() {
        return Err(Reject::FieldInvalid {
            field: "run",
            value: run.join(" ").chars().take(64).collect(),
            expected: "either a prompt or a command",
        });
    }
    check_command(&run)?;
    Ok(TaskInput { kind: TaskKind::Run, prompt, run, env, stored: None })
}

fn check_command(run: &[String]) -> Result<(), Reject> {
    let bytes: usize = run.iter().map(|arg| arg.len() + 1).sum();
    if bytes > COMMAND_BYTES_MAX {
        return Err(Reject::TooLarge { what: "the command", bytes, limit: COMMAND_BYTES_MAX });
    }
    for (place, arg) in run.iter().enumerate() {
        if arg.contains('\0') {
            return Err(Reject::NulByte { what: format!("argument {place} of the command") });
        }
        if arg.len() > ARGUMENT_BYTES_MAX {
            return Err(Reject::TooLarge {
                what: "an argument",
                bytes: arg.len(),
                limit: ARGUMENT_BYTES_MAX,
            });
        }
    }
    match run.first() {
        Some(program) if !program.is_empty() => Ok(()),
        Some(_) | None => {
            Err(Reject::FieldInvalid { field: "run", value: String::new(), expected: "a program first" })
        }
    }
}

/// How much is stored beside a task.
pub(crate) fn input_bytes(input: &TaskInput) -> u32 {
    let run: usize = input.run.iter().map(String::len).sum();
    let env: usize = input.env.iter().map(|(name, value)| name.len() + value.len()).sum();
    let stored = input.stored.map_or(0, |stored| stored.bytes as usize);
    u32::try_from(input.prompt.len() + stored + run + env).unwrap_or(u32::MAX)
}

/// What tables show of an input.
pub(crate) fn title(input: &TaskInput) -> String {
    match input.kind {
        TaskKind::Prompt => title_of(&input.prompt),
        TaskKind::Run => title_of(&input.run.join(" ")),
    }
}

/// The first line that says something, cut.
pub(crate) fn title_of(text: &str) -> String {
    let text = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("");
    let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut title: String = clean.take(TITLE_CHARS_MAX + 1).collect();
    if title.chars().count() > TITLE_CHARS_MAX {
        title = title.chars().take(TITLE_CHARS_MAX - 1).chain(['…']).collect();
    }
    title
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_is_the_first_line_that_says_something() {
        let input = |prompt: &str| TaskInput {
            kind: TaskKind::Prompt,
            prompt: prompt.to_owned(),
            run: Vec::new(),
            env: Vec::new(),
            stored: None,
        };
        assert_eq!(title(&input("\n  do\tit \nnow")), "do it");
        assert_eq!(title(&input(&"x".repeat(200))).chars().count(), TITLE_CHARS_MAX);
    }
}
