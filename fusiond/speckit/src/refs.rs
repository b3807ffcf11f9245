//! What references mean: which tasks an id, a range, a phase or a story stands for. What does not exist is noted.
//!
//! Not for: contradictions between references (`order`).

use std::collections::{BTreeMap, HashMap};

use crate::mention::{Mention, Titles, of_line};
use crate::read::Wants;
use crate::{Note, Phase, TaskFile};

/// An id by what it means: `T012`, `T-012` and `T12` are the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    number: u64,
    fraction: Option<String>,
    letter: Option<char>,
}

/// The key of an id.
pub(crate) fn key(id: &str) -> Key {
    let rest = id.trim_start_matches(['T', '-']);
    let letter = rest.chars().next_back().filter(char::is_ascii_lowercase);
    let rest = rest.trim_end_matches(|c: char| c.is_ascii_lowercase());
    let (number, fraction) =
        rest.split_once('.').map_or((rest, None), |(number, rest)| (number, Some(rest.to_owned())));
    Key { number: number.parse().unwrap_or(u64::MAX), fraction, letter }
}

/// More pairs are not what a line of prose means.
const PAIRS_MAX: usize = 100_000;

struct Names {
    tasks: BTreeMap<Key, usize>,
    phases: HashMap<String, Vec<usize>>,
    stories: HashMap<String, Vec<usize>>,
    by_phase: Vec<Vec<usize>>,
}

/// Fills in what each task comes after.
pub(crate) fn resolve(file: &mut TaskFile, wants: &Wants) {
    let names = Names::of(file);
    file.after = vec![Vec::new(); file.tasks.len()];
    for (task, wanted) in wants.tasks.iter().enumerate() {
        for (mention, line) in wanted {
            let meant = names.meant(mention);
            if meant.is_empty() {
                file.notes.push(Note::new(*line, unknown(mention, &file.tasks[task].name)));
            }
            if matches!(mention, Mention::Task(_)) && meant == [task] {
                let name = &file.tasks[task].name;
                file.notes
                    .push(Note::new(*line, format!("{name} is to come after itself: that is left out")));
            }
            for earlier in meant {
                link(file, task, earlier, *line);
            }
        }
    }
    let titles = titles(&file.phases);
    let titles: Vec<(&str, usize)> = titles.iter().map(|(title, phase)| (title.as_str(), *phase)).collect();
    for (text, line) in &wants.lines {
        resolve_line(file, &names, text, *line, &titles);
    }
    for after in &mut file.after {
        after.sort_unstable();
        after.dedup_by_key(|(earlier, _)| *earlier);
    }
}

fn resolve_line(file: &mut TaskFile, names: &Names, text: &str, line: usize, titles: &Titles<'_>) {
    for relation in of_line(text, titles) {
        let is_phase = |mention: &Mention| matches!(mention, Mention::Phase(_) | Mention::Titled(_));
        // The order of whole phases is that of the file.
        if relation.later.iter().all(is_phase) && relation.earlier.iter().all(is_phase) {
            continue;
        }
        let mut meant = |mentions: &[Mention]| {
            let mut all = Vec::new();
            for mention in mentions {
                let some = names.meant(mention);
                if some.is_empty() && matches!(mention, Mention::Task(_) | Mention::Range(..)) {
                    file.notes.push(Note::new(line, unknown(mention, "this line")));
                }
                all.extend(some);
            }
            all
        };
        let (later, earlier) = (meant(&relation.later), meant(&relation.earlier));
        if later.len() * earlier.len() > PAIRS_MAX {
            file.notes.push(Note::new(
                line,
                "too many tasks are to come after too many others here: that is left out",
            ));
            continue;
        }
        for task in &later {
            for before in earlier.iter().filter(|before| !later.contains(before)) {
                link(file, *task, *before, line);
            }
        }
    }
}

fn link(file: &mut TaskFile, task: usize, earlier: usize, line: usize) {
    if task == earlier {
        return;
    }
    file.after[task].push((earlier, line));
    if earlier > task {
        let (one, other) = (&file.tasks[task], &file.tasks[earlier]);
        let text =
            format!("{} comes after {}, which stands below it in line {}", one.name, other.name, other.line);
        file.notes.push(Note::new(line, text));
    }
}

fn unknown(mention: &Mention, who: &str) -> String {
    let what = match mention {
        Mention::Task(id) => format!("{id}, which does not exist"),
        Mention::Range(from, to) => format!("{from} to {to}, of which none exists"),
        Mention::Phase(number) => format!("phase {number}, which has no tasks"),
        Mention::Story(number) => format!("user story {number}, which has no tasks"),
        Mention::Titled(_) => "a phase without tasks".to_owned(),
    };
    format!("{who} names {what}: that is left out")
}

impl Names {
    fn of(file: &TaskFile) -> Self {
        let mut names = Self {
            tasks: BTreeMap::new(),
            phases: HashMap::new(),
            stories: HashMap::new(),
            by_phase: vec![Vec::new(); file.phases.len()],
        };
        for (at, task) in file.tasks.iter().enumerate() {
            names.tasks.entry(key(&task.id)).or_insert(at);
            names.by_phase[task.phase].push(at);
            if let Some(number) = &file.phases[task.phase].number {
                names.phases.entry(number.clone()).or_default().push(at);
            }
            if let Some(story) = &task.story {
                names.stories.entry(story.clone()).or_default().push(at);
            }
        }
        names
    }

    fn meant(&self, mention: &Mention) -> Vec<usize> {
        match mention {
            Mention::Task(id) => self.tasks.get(&key(id)).copied().into_iter().collect(),
            Mention::Range(from, to) => {
                let (one, other) = (key(from).number, key(to).number);
                let (least, most) = (one.min(other), one.max(other));
                let from = Key { number: least, fraction: None, letter: None };
                let found = self.tasks.range(from..).take_while(|(key, _)| key.number <= most);
                found.map(|(_, at)| *at).collect()
            }
            Mention::Phase(number) => self.phases.get(number).cloned().unwrap_or_default(),
            Mention::Story(number) => self.stories.get(number).cloned().unwrap_or_default(),
            Mention::Titled(phase) => self.by_phase.get(*phase).cloned().unwrap_or_default(),
        }
    }
}

/// Words that begin many headings.
const USUAL: [&str; 6] = ["User", "Story", "Phase", "Stage", "Tests", "Implementation"];

/// The words by which prose calls phases: the first one of a heading, behind its number.
fn titles(phases: &[Phase]) -> Vec<(String, usize)> {
    let mut titles: Vec<(String, usize)> = Vec::new();
    for (at, phase) in phases.iter().enumerate() {
        let title = phase.number.as_ref().and_then(|number| Some(phase.title.split_once(number.as_str())?.1));
        let title = title.unwrap_or(&phase.title);
        let word: String = title
            .trim_start_matches(|c: char| !c.is_alphabetic())
            .chars()
            .take_while(|c| c.is_alphanumeric())
            .collect();
        let is_name = word.chars().count() >= 4 && !USUAL.contains(&word.as_str());
        if is_name && !titles.iter().any(|(known, _)| *known == word) {
            titles.push((word, at));
        }
    }
    titles
}
