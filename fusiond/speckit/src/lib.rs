//! What a `tasks.md` of spec-kit says: its phases and tasks, in which order they may be done, what an agent is told of
//! each, and how the box of one that is done is ticked.
//!
//! ```text
//!   text ──► lines ──► task lines, headings, prose ──► TaskFile ──► order (strict | stories) ──► prompts
//!                                   │
//!                                   └──► tick: the same text, some boxes ticked, every other byte kept
//! ```
//!
//! People and models write these files by hand, so everything that can be understood is, and everything that is odd is
//! noted with its line. No dependencies: the program that ticks boxes with a user's rights is small. Not for: files and
//! sockets; definitions of workflows, which are made from this by the command line.

mod files;
mod heading;
mod lines;
mod mention;
mod order;
mod prompt;
mod read;
mod refs;
mod task_line;
mod tick;

pub use order::{Item, Mode, Order, Step};
pub use prompt::{Papers, prompt};
pub use tick::{Ticked, tick};

/// The longest file that is read.
pub const FILE_BYTES_MAX: usize = 4 << 20;
/// The most tasks of one file.
pub const TASKS_MAX: usize = 10_000;

/// What a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskFile {
    /// The first heading, without `Tasks:` before it.
    pub title: String,
    /// The phases that have tasks, in the order of the file.
    pub phases: Vec<Phase>,
    /// The tasks, in the order of the file.
    pub tasks: Vec<Task>,
    /// Where the file says that something is to be looked at.
    pub checkpoints: Vec<Checkpoint>,
    /// Which tasks each task is said to come after, by number, with the line that says so.
    pub after: Vec<Vec<(usize, usize)>>,
    /// Everything odd, in the order of the lines.
    pub notes: Vec<Note>,
}

/// A part of the file with a heading of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Phase {
    /// The line of its heading, from 1; 0 when there is none.
    pub line: usize,
    /// Its heading.
    pub title: String,
    /// Its number as written: `3`, `3.1`, `A0`, `N`.
    pub number: Option<String>,
    /// The user story that it is about, such as `1`.
    pub story: Option<String>,
    /// What it is for: its `Goal` or `Purpose`.
    pub goal: Option<String>,
    /// How it is seen that it is done: its `Independent Test`.
    pub test: Option<String>,
}

/// One line with a box, and what belongs to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// Its name within the file: its id, and where two have the same one, `-2` behind the second.
    pub name: String,
    /// Its id as written.
    pub id: String,
    /// Its line, from 1.
    pub line: usize,
    /// How far it is.
    pub state: State,
    /// Whether it may be done together with its neighbours.
    pub is_parallel: bool,
    /// The user story that it is for, such as `1`.
    pub story: Option<String>,
    /// Its labels, without `P` and the story.
    pub labels: Vec<String>,
    /// What is to be done: the rest of the line.
    pub text: String,
    /// The lines below that belong to it, as they stand there, moved to the left.
    pub details: String,
    /// The files that it names.
    pub files: Vec<String>,
    /// Its phase, by number.
    pub phase: usize,
    /// Where the sign in its box begins, in bytes of the file; tasks that are headings have no box.
    pub box_at: Option<usize>,
}

/// How far a task is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It is to be done.
    #[default]
    Open,
    /// Its box is ticked.
    Done,
    /// Somebody decided that it is not done.
    Skipped,
}

impl State {
    /// Whether what comes after it may begin.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Done | Self::Skipped => true,
            Self::Open => false,
        }
    }
}

/// A place where the file asks to stop and look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its line, from 1.
    pub line: usize,
    /// What is to be looked at.
    pub text: String,
    /// How many tasks stand before it.
    pub before: usize,
    /// Its phase, by number.
    pub phase: usize,
}

/// Something odd.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The line, from 1.
    pub line: usize,
    /// What is odd about it, and what is made of it.
    pub text: String,
}

impl Note {
    fn new(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is too long.
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// It is no text.
    NotText {
        /// The line of the first byte that is none.
        line: usize,
    },
    /// There is no task in it.
    NoTasks,
    /// There are too many.
    TooManyTasks {
        /// How many.
        tasks: usize,
    },
    /// Tasks are to come after one another in a circle: names and lines, the first one again at the end.
    Cycle(Vec<(String, usize)>),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::TooLong { bytes } => write!(to, "it has {bytes} bytes; at most {FILE_BYTES_MAX} are read"),
            Self::NotText { line } => write!(to, "line {line} is not UTF-8"),
            Self::NoTasks => to.write_str("there is no task in it: no line such as `- [ ] T001 What to do`"),
            Self::TooManyTasks { tasks } => {
                write!(to, "it has {tasks} tasks; at most {TASKS_MAX} are read")
            }
            Self::Cycle(circle) => {
                let names = circle.iter().map(|(name, line)| format!("{name} (line {line})"));
                write!(
                    to,
                    "tasks depend on one another in a circle: {}",
                    names.collect::<Vec<_>>().join(" → ")
                )
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl TaskFile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it is too long, no text, or without a task.
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        if bytes.len() > FILE_BYTES_MAX {
            return Err(Refusal::TooLong { bytes: bytes.len() });
        }
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let before = &bytes[..error.valid_up_to()];
            Refusal::NotText { line: 1 + before.iter().filter(|byte| **byte == b'\n').count() }
        })?;
        let file = read::read(text);
        match file.tasks.len() {
            0 => Err(Refusal::NoTasks),
            tasks if tasks > TASKS_MAX => Err(Refusal::TooManyTasks { tasks }),
            _some => Ok(file),
        }
    }

    /// The phase of a task.
    #[must_use]
    pub fn phase_of(&self, task: &Task) -> &Phase {
        &self.phases[task.phase]
    }
}

/// The name of a task as the id of a node: ids of nodes have no points.
#[must_use]
pub fn node_id(name: &str) -> String {
    name.replace('.', "_")
}

/// The task that a node stands for.
#[must_use]
pub fn name_of(node: &str) -> String {
    node.replace('_', ".")
}
