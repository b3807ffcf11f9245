//! Verbs that other tools have, and what does the same here.
//!
//! Not for: misspelt words; clap finds those.

/// Words behind a noun (none: behind the program's name), and what to type.
type Table = &'static [(&'static str, &'static [&'static str], &'static str)];

const TABLE: Table = &[
    ("", &["ps", "top", "ls", "agents"], "`fusionctl agent list` shows agents"),
    ("", &["status", "health", "info"], "`fusionctl system status` shows how the daemon is"),
    ("", &["doctor", "check"], "`fusionctl system doctor` looks at this machine"),
    ("", &["logs", "log"], "`fusionctl task logs TASK` and `fusionctl agent logs AGENT` show output"),
    ("", &["submit", "add", "enqueue", "queue"], "`fusionctl task submit` takes work"),
    ("", &["spawn", "start", "create"], "`fusionctl agent spawn` starts an agent"),
    ("", &["events", "tail", "watch"], "`fusionctl event tail` shows what happens"),
    (
        "",
        &["kill", "stop"],
        "`fusionctl agent terminate AGENT` ends an agent, `fusionctl task cancel TASK` a task",
    ),
    (
        "agent",
        &["kill", "stop", "end", "delete", "rm"],
        "`fusionctl agent terminate AGENT` ends it; `fusionctl agent remove` clears away what it left",
    ),
    ("agent", &["start", "create", "new", "run", "add"], "`fusionctl agent spawn` starts one"),
    ("agent", &["ls", "ps", "status"], "`fusionctl agent list` shows them"),
    ("agent", &["get", "describe", "inspect", "info"], "`fusionctl agent show AGENT` shows it"),
    ("agent", &["freeze", "suspend"], "`fusionctl agent pause AGENT` freezes it"),
    ("agent", &["unpause", "thaw", "continue"], "`fusionctl agent resume AGENT` lets it go on"),
    ("agent", &["edit", "set"], "`fusionctl agent update AGENT` changes it"),
    ("task", &["add", "create", "new", "run", "enqueue", "start"], "`fusionctl task submit` takes work"),
    (
        "task",
        &["kill", "stop", "abort", "end", "delete", "remove", "rm"],
        "`fusionctl task cancel TASK` ends it; ended ones go by themselves after `tasks.history`",
    ),
    ("task", &["ls", "ps"], "`fusionctl task list` shows them"),
    ("task", &["get", "describe", "inspect", "status", "info"], "`fusionctl task show TASK` shows it"),
    ("task", &["rerun", "restart", "replay"], "`fusionctl task retry TASK` does it once more"),
    ("task", &["reject", "deny"], "`fusionctl task approve TASK --reject` says no"),
    ("task", &["output"], "`fusionctl task result TASK` prints its result"),
    ("task", &["edit", "set"], "`fusionctl task update TASK` changes it while it waits"),
    ("task", &["pause"], "`fusionctl task hold TASK` keeps it from starting"),
    ("task", &["why"], "`fusionctl why TASK` says what it waits for"),
    ("workflow", &["reject", "deny"], "`fusionctl workflow approve RUN NODE --reject` says no"),
    ("workflow", &["stop", "kill", "abort", "terminate", "end"], "`fusionctl workflow cancel RUN` ends it"),
    (
        "workflow",
        &["delete", "remove", "rm"],
        "runs that have ended go by themselves after `tasks.history`; `fusionctl workflow cancel RUN` ends one",
    ),
    (
        "workflow",
        &["start", "submit", "trigger", "execute"],
        "`fusionctl workflow run FILE|NAME` begins a run",
    ),
    (
        "workflow",
        &["create", "deploy", "register", "save"],
        "`fusionctl workflow apply FILE` keeps a definition",
    ),
    ("workflow", &["ls", "ps", "runs"], "`fusionctl workflow list` shows runs"),
    ("workflow", &["get", "describe", "inspect", "status"], "`fusionctl workflow show RUN` shows it"),
    ("workflow", &["wait", "watch", "attach"], "`fusionctl workflow show RUN --wait` follows it to its end"),
    (
        "workflow",
        &["retry", "restart", "replay"],
        "`fusionctl workflow rerun RUN [--from NODE]` does it once more",
    ),
    ("workflow", &["lint", "check"], "`fusionctl workflow validate FILE` says what is wrong"),
    (
        "workflow",
        &["dry-run", "preview", "estimate"],
        "`fusionctl workflow plan FILE` says what a run would do",
    ),
    ("workflow", &["dot", "render", "tree"], "`fusionctl workflow graph RUN|FILE` draws it"),
    ("workflow", &["result", "output"], "`fusionctl workflow show RUN --result NODE` prints a result"),
    (
        "workflow",
        &["logs", "log"],
        "`fusionctl workflow show RUN` has the tasks, `fusionctl task logs TASK` their output",
    ),
    ("workflow", &["why"], "`fusionctl why RUN` says what it waits for"),
    ("workflow", &["update", "set"], "`fusionctl workflow edit RUN` changes nodes that have not begun"),
    ("event", &["ls", "show"], "`fusionctl event list` shows stored events"),
    ("event", &["watch", "follow", "stream"], "`fusionctl event tail` shows what happens"),
    ("secret", &["add", "create", "put"], "`fusionctl secret set NAME` keeps one"),
    ("secret", &["get", "show"], "a value is never shown again; `fusionctl secret list` shows names"),
    ("profile", &["add", "create", "set"], "`fusionctl profile apply FILE` keeps one"),
];

/// What to type instead of a word that is no verb behind this path, such as `fusionctl agent`.
pub(crate) fn instead(path: &str, word: &str) -> Option<&'static str> {
    let noun = path.split_once(' ').map_or("", |(_, noun)| noun);
    TABLE.iter().find(|(own, words, _)| *own == noun && words.contains(&word)).map(|(_, _, said)| *said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Args;
    use clap::CommandFactory;

    #[test]
    fn no_word_of_others_is_one_of_ours_and_all_that_is_told_exists() {
        let mut command = Args::command();
        command.build();
        for (noun, words, said) in TABLE {
            let at = match *noun {
                "" => &command,
                noun => command.find_subcommand(noun).expect("a noun"),
            };
            for word in *words {
                assert!(at.find_subcommand(word).is_none(), "{noun} {word} exists");
            }
            for told in said.split('`').skip(1).step_by(2).filter_map(|told| told.strip_prefix("fusionctl "))
            {
                let mut at = &command;
                for word in
                    told.split(' ').take_while(|word| word.starts_with(|first: char| first.is_lowercase()))
                {
                    at = at.find_subcommand(word).unwrap_or_else(|| panic!("{told}: no {word}"));
                }
            }
        }
    }
}
