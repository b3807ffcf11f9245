//! From lines to phases and tasks. Each line is looked at once; what a phase is turns out when a task stands in it.
//!
//! Not for: how a single line is read (`task_line`, `heading`, `mention`), what references mean (`refs`).

use std::collections::HashMap;

use crate::heading::{Announces, announces, heading, story_in};
use crate::lines::{Line, lines};
use crate::mention::{Mention, of_task};
use crate::task_line::{Boxed, TaskLine, boxed, state_of, titled, width};
use crate::{Checkpoint, Note, Phase, State, Task, TaskFile, files, refs};

/// A heading and what stands directly below it.
#[derive(Debug)]
struct Section {
    level: usize,
    line: usize,
    title: String,
    announces: Announces,
    parent: Option<usize>,
    goal: Option<String>,
    test: Option<String>,
    phase: Option<usize>,
}

/// What a labelled paragraph says of its phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum About {
    Goal,
    Test,
}

/// A task whose lines still come.
#[derive(Debug)]
struct Open {
    task: usize,
    indent: usize,
    /// A task that is a heading owns everything up to the next one.
    is_titled: bool,
    /// Its lines so far.
    details: Vec<String>,
    is_behind_blank: bool,
    /// A line has announced a list of what it comes after.
    is_listing: bool,
}

/// What is said of the order, before it is known what is there.
#[derive(Debug, Default)]
pub(crate) struct Wants {
    /// Of each task: what it comes after, and the line that says so.
    pub(crate) tasks: Vec<Vec<(Mention, usize)>>,
    /// Lines of the section about dependencies.
    pub(crate) lines: Vec<(String, usize)>,
}

#[derive(Debug, Default)]
struct Reader {
    file: TaskFile,
    wants: Wants,
    sections: Vec<Section>,
    here: Option<usize>,
    open: Option<Open>,
    about: Option<(Option<usize>, About)>,
    names: HashMap<refs::Key, (usize, usize)>,
}

/// Reads a text.
pub(crate) fn read(text: &str) -> TaskFile {
    let mut notes = Vec::new();
    let lines = lines(text, &mut notes);
    let mut reader = Reader::default();
    reader.file.notes = notes;
    for line in &lines {
        reader.take(line);
    }
    reader.finish()
}

impl Reader {
    fn note(&mut self, line: usize, text: impl Into<String>) {
        self.file.notes.push(Note::new(line, text));
    }

    fn take(&mut self, line: &Line<'_>) {
        if let Some(found) = heading(&line.seen) {
            let level = found.level;
            match titled(found.text).filter(|_| !self.is_within(&Announces::Samples) && level > 1) {
                Some(task) => self.begin(line, &task, true),
                None => self.enter(line.number, level, found.text),
            }
            return;
        }
        if self.is_within(&Announces::Samples) {
            return;
        }
        if self.is_within(&Announces::Dependencies) {
            if !line.seen.trim().is_empty() {
                self.wants.lines.push((line.seen.trim().to_owned(), line.number));
            }
            return;
        }
        match boxed(&line.seen) {
            Some(Boxed::Task(task)) => self.begin(line, &task, false),
            Some(Boxed::Sample) => {
                self.close();
                self.note(line.number, "a sample of a task, without a number: it is left out");
            }
            Some(Boxed::Nameless { indent }) if self.is_outside(indent) => {
                self.close();
                self.note(line.number, "a box without an id such as T012: it is no task");
            }
            Some(Boxed::Hollow { indent }) if self.is_outside(indent) => {
                self.close();
                self.note(line.number, "`[]` is no box: write `[ ]`, with a blank; it is no task");
            }
            Some(Boxed::Nameless { .. } | Boxed::Hollow { .. }) | None => self.take_prose(line),
        }
    }

    /// Whether what stands there is no part of the task above.
    fn is_outside(&self, indent: usize) -> bool {
        self.open.as_ref().is_none_or(|open| indent <= open.indent)
    }

    fn take_prose(&mut self, line: &Line<'_>) {
        if let Some(text) = checkpoint(&line.seen) {
            self.close();
            self.about = None;
            let phase = self.phase_here();
            self.file.checkpoints.push(Checkpoint {
                line: line.number,
                text: text.to_owned(),
                before: self.file.tasks.len(),
                phase,
            });
            return;
        }
        if let Some((about, text)) = labelled(&line.seen) {
            self.close();
            let section = self.phase_section();
            self.about = Some((section, about));
            self.say(text);
            return;
        }
        if line.seen.trim().is_empty() {
            self.about = None;
        } else if self.about.is_some() {
            self.say(line.seen.trim());
            return;
        }
        self.continue_task(line);
    }

    /// Adds to what a phase is for.
    fn say(&mut self, text: &str) {
        let Some((Some(section), about)) = self.about else { return };
        let section = &mut self.sections[section];
        let said = match about {
            About::Goal => section.goal.get_or_insert_default(),
            About::Test => section.test.get_or_insert_default(),
        };
        if !said.is_empty() {
            said.push(' ');
        }
        said.push_str(text);
    }

    /// Enters the section of a heading.
    fn enter(&mut self, line: usize, level: usize, text: &str) {
        self.close();
        self.about = None;
        if level == 1 && self.file.title.is_empty() {
            let title = text.split_once(':').filter(|(word, _)| word.trim().eq_ignore_ascii_case("tasks"));
            title.map_or(text, |(_, title)| title.trim()).clone_into(&mut self.file.title);
        }
        let mut parent = self.here;
        while let Some(at) = parent.filter(|at| self.sections[*at].level >= level) {
            parent = self.sections[at].parent;
        }
        self.here = Some(self.sections.len());
        let announces = if level == 1 { Announces::Other } else { announces(text) };
        let (title, goal, test, phase) = (text.to_owned(), None, None, None);
        self.sections.push(Section { level, line, title, announces, parent, goal, test, phase });
    }

    /// The section here and those around it, from the inside.
    fn around(&self) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.here, |at| self.sections[*at].parent)
    }

    fn is_within(&self, announces: &Announces) -> bool {
        self.around().any(|at| self.sections[at].announces == *announces)
    }

    /// The section that is the phase of what stands here.
    fn phase_section(&self) -> Option<usize> {
        let is_phase = |at: &usize| matches!(self.sections[*at].announces, Announces::Phase(_));
        let is_numbered = |at: &usize| {
            let section = &self.sections[*at];
            section.level == 2 && section.title.contains(|c: char| c.is_ascii_digit())
        };
        let is_usual = |at: &usize| matches!(self.sections[*at].level, 2 | 3);
        self.around()
            .find(is_phase)
            .or_else(|| self.around().find(is_numbered))
            .or_else(|| self.around().find(is_usual))
            .or(self.here)
    }

    /// The phase of what stands here; it is one from now on.
    fn phase_here(&mut self) -> usize {
        let section = self.phase_section();
        if let Some(phase) = section.and_then(|at| self.sections[at].phase) {
            return phase;
        }
        let number = self.file.phases.len();
        let phase = match section.map(|at| &mut self.sections[at]) {
            Some(section) => {
                section.phase = Some(number);
                let written = match &section.announces {
                    Announces::Phase(number) => Some(number.clone()),
                    Announces::Samples | Announces::Dependencies | Announces::Other => None,
                };
                let story = story_in(&section.title);
                Phase {
                    line: section.line,
                    title: section.title.clone(),
                    number: written,
                    story,
                    goal: None,
                    test: None,
                }
            }
            None if self.file.phases.last().is_some_and(|last| last.line == 0) => return number - 1,
            None => Phase::default(),
        };
        self.file.phases.push(phase);
        number
    }

    fn begin(&mut self, line: &Line<'_>, found: &TaskLine<'_>, is_titled: bool) {
        self.close();
        self.about = None;
        if is_titled && let Some(at) = self.here {
            // The heading of a task ends the sections that are not around it.
            let level = line.seen.len() - line.seen.trim_start_matches('#').len();
            self.here = std::iter::successors(Some(at), |at| self.sections[*at].parent)
                .find(|at| self.sections[*at].level < level);
        }
        let phase = self.phase_here();
        let number = self.file.tasks.len();
        let name = self.name(found.id, number, line.number);
        let state = self.state(found, line.number);
        let wants = self.wants_of(found, line.number);
        self.wants.tasks.push(wants);
        let story = found.labels.iter().find_map(|label| story_in(label).filter(|_| is_story(label)));
        let story = self.story(story, phase, found.id, line.number);
        let mut named = Vec::new();
        files::files(found.text, &mut named);
        let is_label = |label: &&&str| !is_parallel(label) && !is_story(label);
        self.file.tasks.push(Task {
            name,
            id: found.id.to_owned(),
            line: line.number,
            state,
            is_parallel: found.labels.iter().any(|label| is_parallel(label)),
            story,
            labels: found.labels.iter().filter(is_label).map(|label| (*label).to_owned()).collect(),
            text: found.text.trim_end_matches('~').trim().to_owned(),
            details: String::new(),
            files: named,
            phase,
            box_at: found.sign.map(|(_, at)| line.start + at),
        });
        let (indent, details) = (found.indent, Vec::new());
        self.open = Some(Open {
            task: number,
            indent,
            is_titled,
            details,
            is_behind_blank: false,
            is_listing: false,
        });
    }

    /// What the line, and the headings around it, say that the task comes after.
    fn wants_of(&self, found: &TaskLine<'_>, line: usize) -> Vec<(Mention, usize)> {
        let own = found.labels.iter().copied().chain([found.text]).map(|text| (text, line));
        let around = self.around().map(|at| (self.sections[at].title.as_str(), self.sections[at].line));
        let said = own
            .chain(around)
            .flat_map(|(text, line)| of_task(text).into_iter().map(move |mention| (mention, line)));
        said.collect()
    }

    /// A name that no other task has.
    fn name(&mut self, id: &str, number: usize, line: usize) -> String {
        let entry = self.names.entry(refs::key(id)).or_insert((number, 0));
        entry.1 += 1;
        let (first, count) = *entry;
        if count == 1 {
            return id.to_owned();
        }
        let above = self.file.tasks[first].line;
        let name = format!("{id}-{count}");
        self.note(line, format!("{id} is there already in line {above}: this one is called {name}"));
        name
    }

    fn state(&mut self, found: &TaskLine<'_>, line: usize) -> State {
        let Some((sign, _)) = found.sign else { return State::Open };
        if found.is_struck && !sign.eq_ignore_ascii_case(&'x') {
            return State::Skipped;
        }
        state_of(sign).unwrap_or_else(|| {
            self.note(line, format!("`[{sign}]` is unknown in a box: {} is taken as open", found.id));
            State::Open
        })
    }

    /// The story that a task is for: what its label says, else its phase.
    fn story(&mut self, labelled: Option<String>, phase: usize, id: &str, line: usize) -> Option<String> {
        let own = self.file.phases[phase].story.clone();
        if let (Some(labelled), Some(own)) = (&labelled, &own)
            && labelled != own
        {
            self.note(line, format!("{id} is labelled US{labelled} and stands in the phase of story {own}: it is done with its phase"));
        }
        own.or(labelled)
    }

    /// Whether a line belongs to the task above.
    fn continue_task(&mut self, line: &Line<'_>) {
        let Some(open) = &mut self.open else { return };
        if line.raw.trim().is_empty() {
            open.is_behind_blank = true;
            open.details.push(String::new());
            return;
        }
        let text = line.raw.trim_start();
        let is_below = width(&line.raw[..line.raw.len() - text.len()]) >= open.indent + 2;
        let is_hidden = line.seen.trim().is_empty();
        let is_lazy =
            !open.is_behind_blank && !is_hidden && !text.starts_with(['-', '*', '+', '|', '#', '=']);
        let says_order = text.starts_with("**") && !of_task(&line.seen).is_empty();
        if !(open.is_titled || is_below || is_lazy || says_order) {
            if !is_hidden {
                self.close();
            }
            return;
        }
        open.is_behind_blank = false;
        open.details.push(line.raw.trim_end().to_owned());
        if is_hidden {
            return;
        }
        let task = &mut self.file.tasks[open.task];
        files::files(&line.seen, &mut task.files);
        if open.is_titled && is_status_done(&line.seen) {
            task.state = State::Done;
        }
        let mut said = of_task(&line.seen);
        if said.is_empty() && open.is_listing {
            said = of_task(&format!("after {}", text.trim_start_matches(['-', '*', '+', ' '])));
        }
        open.is_listing = is_announcing(text) || (open.is_listing && !said.is_empty());
        let wants = &mut self.wants.tasks[open.task];
        wants.extend(said.into_iter().map(|mention| (mention, line.number)));
    }

    /// The task above has all its lines.
    fn close(&mut self) {
        if let Some(open) = self.open.take() {
            self.file.tasks[open.task].details = dedented(&open.details);
        }
    }

    fn finish(mut self) -> TaskFile {
        self.close();
        let Self { mut file, wants, sections, .. } = self;
        for section in sections {
            if let Some(phase) = section.phase {
                let phase = &mut file.phases[phase];
                (phase.goal, phase.test) = (section.goal, section.test);
            }
        }
        refs::resolve(&mut file, &wants);
        file.notes.sort();
        file.notes.dedup();
        file
    }
}

fn is_parallel(label: &str) -> bool {
    matches!(label.trim(), "P" | "p")
}

fn is_story(label: &str) -> bool {
    story_in(label).is_some_and(|number| label.trim().len() <= number.len() + "User Story ".len())
        && label.trim().starts_with(['U', 'u'])
}

/// A line that ends with the word for what it comes after: a list of it follows.
fn is_announcing(text: &str) -> bool {
    let bare =
        text.trim_end_matches(['*', ' ', '_']).trim_end_matches(':').trim_matches(['*', '-', ' ', '_', '+']);
    matches!(
        bare.to_lowercase().as_str(),
        "dependencies" | "depends on" | "requires" | "prerequisites" | "blocked by"
    )
}

fn is_status_done(seen: &str) -> bool {
    let lower = seen.to_lowercase();
    let bare: String =
        lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, '✅' | '✓' | '✔')).collect();
    matches!(
        bare.as_str(),
        "statusdone"
            | "statuscompleted"
            | "statuscomplete"
            | "status✅"
            | "status✅done"
            | "status✅completed"
            | "status✅complete"
    )
}

/// What a checkpoint asks to look at.
fn checkpoint(seen: &str) -> Option<&str> {
    let bare = seen.trim_start_matches([' ', '*', '-', '_', '🛑', '✅', '⏸']);
    let words = [
        "Checkpoint",
        "CHECKPOINT",
        "检查点",
        "檢查點",
        "チェックポイント",
        "체크포인트",
        "Punto de control",
    ];
    let rest = words.iter().find_map(|word| bare.strip_prefix(word))?;
    let (before, text) = rest.split_once([':', '：'])?;
    (before.len() <= 40).then(|| text.trim_matches(['*', ' ', '_']))
}

/// What a paragraph that begins with a bold word says of its phase.
fn labelled(seen: &str) -> Option<(About, &str)> {
    let inside = seen.strip_prefix("**")?;
    let (word, rest) = inside.split_once("**")?;
    let word = word.trim_end_matches([':', '：', ' ']).to_lowercase();
    let text = rest.trim_start_matches([':', '：', ' ']).trim();
    match word.as_str() {
        "goal" | "purpose" | "目标" | "目的" | "目標" | "목표" | "목적" | "objetivo" | "propósito"
        | "ziel" | "zweck" | "objectif" | "but" | "цель" => Some((About::Goal, text)),
        "independent test"
        | "独立测试"
        | "獨立測試"
        | "独立テスト"
        | "독립 테스트"
        | "prueba independiente"
        | "test indépendant"
        | "unabhängiger test" => Some((About::Test, text)),
        _other => None,
    }
}

/// The lines, as far to the left as they can stand together.
fn dedented(lines: &[String]) -> String {
    let blanks = |line: &String| line.len() - line.trim_start_matches([' ', '\t']).len();
    let least = lines.iter().filter(|line| !line.is_empty()).map(blanks).min().unwrap_or(0);
    let moved: Vec<&str> = lines.iter().map(|line| line.get(least..).unwrap_or_default()).collect();
    moved.join("\n").trim_matches('\n').to_owned()
}
