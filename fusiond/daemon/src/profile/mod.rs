//! Profiles: named templates of agents. Built in: `command`, `shell` and those of agent CLIs; others come from
//! `profiles.d/*.toml`.
//!
//! A broken file stops nothing: it is reported, and its profiles are left out. Not here: what an agent is made of
//! besides its profile (limits, name, workspace), and starting it.

pub mod figure;
mod library;
mod parse;
pub mod result;
mod seek;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use fusion_core::Millis;
use fusion_core::agent::Recipe;

pub use self::library::{APPLIED, Library, read};
pub use crate::config::Trust;

use self::figure::Figure;
use self::result::ResultFormat;
use crate::config::Problem;

/// A named template of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name: letters, digits, `.`, `_`, `-`; begins with a letter or digit; at most 63 bytes.
    pub name: String,
    /// One line for people.
    pub description: String,
    /// How it takes a task.
    pub kind: Kind,
    /// Program and arguments; `{{ prompt }}` and `{{ session_id }}` are replaced. Empty for `command`, which takes
    /// them from the spawn.
    pub command: Vec<String>,
    /// How the prompt reaches the program.
    pub prompt: Prompt,
    /// What standard input is after the prompt.
    pub stdin: Stdin,
    /// What `HOME` is.
    pub home: Home,
    /// Whose login at the model's provider it uses.
    pub auth: Auth,
    /// Where in the output the result is.
    pub result: ResultFormat,
    /// Where in the output the cost in US dollars is.
    pub usage: Option<Figure>,
    /// Where in the output the tokens are that models used: they are added up.
    pub tokens: Vec<Figure>,
    /// Arguments added to take up a session again.
    pub resume: Vec<String>,
    /// What its agents can do.
    pub capabilities: Vec<String>,
    /// How its agents are confined.
    pub sandbox: Sandbox,
    /// A task without output, CPU or model call for this long is ended.
    pub idle_timeout: Option<Millis>,
    /// How much the workspace of an agent may take on the disk before its next task.
    pub disk_bytes: Option<u64>,
    /// A command that succeeds where the program is installed.
    pub detect: Vec<String>,
    /// Between how many agents are kept for each user who has work.
    pub pool: Option<PoolSize>,
    /// Added to the environment.
    pub env: BTreeMap<String, String>,
    /// `built in`, or the file that it came from.
    pub source: String,
}

/// The size of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolSize {
    /// So many stay.
    pub min: u32,
    /// More than these are never alive.
    pub max: u32,
    /// One beyond `min` that waits longer than this for a task ends.
    pub idle_timeout: Millis,
}

impl PoolSize {
    /// The largest pool.
    pub const MAX: u32 = 1000;
    /// For how long an agent of a pool waits for a task when the profile does not say.
    pub const IDLE_TIMEOUT_DEFAULT: Millis = Millis::from_secs(300);
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name {
            $($(#[$each])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word in a profile.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }
    };
}

words!(
    /// How an agent takes a task.
    Kind {
        /// One process per task.
        #[default]
        Exec = "exec",
        /// One resident process that speaks the Agent Client Protocol.
        Acp = "acp",
    }
);
words!(
    /// How the prompt reaches the program.
    Prompt {
        /// On standard input: nobody else can read it.
        #[default]
        Stdin = "stdin",
        /// As `{{ prompt }}` in the arguments, readable by every user of the machine.
        Argv = "argv",
        /// In the file that `FUSION_INPUT` names.
        File = "file",
    }
);
words!(
    /// What standard input is after the prompt.
    Stdin {
        /// At its end.
        #[default]
        Closed = "closed",
        /// Open: `agent attach` and `agent send` write to it.
        Open = "open",
    }
);
words!(
    /// What `HOME` is.
    Home {
        /// The agent's workspace.
        #[default]
        Workspace = "workspace",
        /// The owner's home folder.
        User = "user",
    }
);
words!(
    /// Whose login at the model's provider is used.
    Auth {
        /// The daemon's gateway.
        #[default]
        Gateway = "gateway",
        /// The owner's own.
        Own = "own",
    }
);
words!(
    /// How agents are confined.
    Sandbox {
        /// By their uid and workspace.
        #[default]
        User = "user",
        /// By Landlock as well.
        Landlock = "landlock",
        /// In namespaces of their own (bubblewrap).
        Bwrap = "bwrap",
    }
);

/// All profiles, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profiles(BTreeMap<String, Profile>);

impl Profile {
    /// How agents of it are run, as far as it says so: without the place, the backend, and what a caller adds.
    #[must_use]
    pub fn recipe(&self) -> Recipe {
        Recipe {
            command: self.command.clone(),
            prompt: self.prompt.word().to_owned(),
            stdin: self.stdin.word().to_owned(),
            home: self.home.word().to_owned(),
            sandbox: self.sandbox.word().to_owned(),
            result: self.result.to_string(),
            usage: self.usage.as_ref().map(ToString::to_string).unwrap_or_default(),
            tokens: self.tokens.iter().map(ToString::to_string).collect(),
            env: self.env.clone().into_iter().collect(),
            ..Recipe::default()
        }
    }
}

impl Profiles {
    /// The built-in profiles, then those of each folder in turn; a later one of the same name wins. A missing folder
    /// holds none.
    #[must_use]
    pub fn load(folders: &[PathBuf], trust: Trust) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut found = Self::built_in();
        for folder in folders {
            parse::folder(folder, trust, &mut found.0, &mut problems);
        }
        (found, problems)
    }

    /// `command`, `shell`, and one for each agent CLI.
    #[must_use]
    pub fn built_in() -> Self {
        let programs = read(BUILT_IN, AGENT_CLIS).expect("a text of our own, which the tests read");
        let all = [command(), shell()].into_iter().chain(programs);
        Self(all.map(|profile| (profile.name.clone(), profile)).collect())
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn list(&self) -> impl ExactSizeIterator<Item = &Profile> {
        self.0.values()
    }

    /// The name that is nearest to one that there is not.
    #[must_use]
    pub fn nearest(&self, name: &str) -> Option<&str> {
        crate::config::near::nearest(name, self.0.keys().map(String::as_str))
    }
}

/// Packages have it as a file, too: what others take over into theirs.
const AGENT_CLIS: &str = include_str!("../../../../packaging/profiles.d/agents.toml");

fn command() -> Profile {
    Profile {
        description:
            "runs the command after `--` once per task; the prompt replaces {{ prompt }} in it, else it \
                      comes on stdin"
                .into(),
        ..Profile::new("command", BUILT_IN)
    }
}

fn shell() -> Profile {
    Profile {
        description: "runs the task's text as a /bin/sh script".into(),
        command: vec!["/bin/sh".into()],
        capabilities: vec!["sh".into()],
        ..Profile::new("shell", BUILT_IN)
    }
}

/// The source of profiles that no file holds.
pub const BUILT_IN: &str = "built in";
