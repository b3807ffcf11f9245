//! Every oddity of a `tasks.md` that people have written, as a fixture of our own, and what is made of it.

use std::path::Path;

use fusion_speckit::{Item, Mode, Note, Order, Papers, Refusal, State, TaskFile, prompt};

/// Adds a line.
macro_rules! line {
    ($text:expr, $($word:tt)*) => {{
        $text.push_str(&format!($($word)*));
        $text.push('\n');
    }};
}

/// A whole file as a person would check it.
fn told(bytes: &[u8]) -> String {
    let mut text = String::new();
    match TaskFile::read(bytes) {
        Ok(file) => tell(&file, &mut text),
        Err(refusal) => line!(text, "refused: {refusal}"),
    }
    text
}

fn tell(file: &TaskFile, text: &mut String) {
    line!(text, "title: {}", file.title);
    for (at, phase) in file.phases.iter().enumerate() {
        line!(text, "{}: {:?} number {:?} story {:?}", phase.line, phase.title, phase.number, phase.story);
        for (name, said) in [("goal", &phase.goal), ("test", &phase.test)] {
            said.iter().for_each(|said| line!(text, "    {name}: {said}"));
        }
        for task in file.tasks.iter().filter(|task| task.phase == at) {
            let state = match task.state {
                State::Open => "open",
                State::Done => "done",
                State::Skipped => "skipped",
            };
            let parallel = if task.is_parallel { " [P]" } else { "" };
            let story = task.story.as_ref().map(|story| format!(" [US{story}]")).unwrap_or_default();
            let labels = if task.labels.is_empty() { String::new() } else { format!(" {:?}", task.labels) };
            let files = if task.files.is_empty() { String::new() } else { format!(" {:?}", task.files) };
            line!(
                text,
                "  {}: {} {state}{parallel}{story}{labels} {:?}{files}",
                task.line,
                task.name,
                task.text
            );
            task.details.lines().for_each(|line| line!(text, "    | {line}"));
        }
        for point in file.checkpoints.iter().filter(|point| point.phase == at) {
            line!(text, "  {}: checkpoint {:?}", point.line, point.text);
        }
    }
    let strict = file.order(Mode::Strict, false);
    let stories = file.order(Mode::Stories, true);
    tell_order("strict", file, &strict, text);
    tell_order("stories, checkpoints held", file, &stories, text);
    let decided = strict.iter().chain(&stories).flat_map(|order| order.notes.iter());
    let mut notes: Vec<&Note> = file.notes.iter().chain(decided).collect();
    notes.sort();
    notes.dedup();
    for note in notes {
        line!(text, "line {}: {}", note.line, note.text);
    }
}

fn tell_order(mode: &str, file: &TaskFile, order: &Result<Order, Refusal>, text: &mut String) {
    let order = match order {
        Ok(order) => order,
        Err(refusal) => {
            line!(text, "{mode}: refused: {refusal}");
            return;
        }
    };
    let name = |item: &Item| match item {
        Item::Task(task) => file.tasks[*task].name.clone(),
        Item::Checkpoint(point) => format!("checkpoint-{point}"),
        Item::Join(phase) => format!("join-{phase}"),
    };
    line!(text, "{mode}:");
    for step in &order.steps {
        let needs: Vec<String> = step.needs.iter().map(|before| name(&order.steps[*before].item)).collect();
        line!(text, "  {} <- {}", name(&step.item), needs.join(" "));
    }
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).expect("a fixture")
}

#[test]
fn every_fixture_is_read_as_people_mean_it() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 18, "{names:?}");
    for name in names {
        insta::assert_snapshot!(name.trim_end_matches(".md"), told(&fixture(&name)));
    }
}

#[test]
fn an_agent_is_told_of_the_task_its_phase_and_the_papers() {
    let file = TaskFile::read(&fixture("regular.md")).unwrap();
    let task = file.tasks.iter().find(|task| task.id == "T009").unwrap();
    let papers = Papers {
        tasks: "specs/001-login/tasks.md".to_owned(),
        others: vec![
            ("the plan".to_owned(), "specs/001-login/plan.md".to_owned()),
            ("what is wanted".to_owned(), "specs/001-login/spec.md".to_owned()),
        ],
    };
    insta::assert_snapshot!("prompt", prompt(&file, task, &papers));
}

#[test]
fn what_is_no_task_file_is_refused() {
    let refused = |bytes: &[u8]| TaskFile::read(bytes).unwrap_err().to_string();
    assert_eq!(refused(b"- [ ] T001 a\n\xff"), "line 2 is not UTF-8");
    assert!(refused(b"").starts_with("there is no task in it"));
    assert!(refused(&vec![b' '; fusion_speckit::FILE_BYTES_MAX + 1]).contains("at most 4194304"));
    let many: String = (0..=fusion_speckit::TASKS_MAX).map(|at| format!("- [ ] T{at:05} a\n")).collect();
    assert!(refused(many.as_bytes()).contains("at most 10000"));
}

#[test]
fn a_file_is_read_whatever_stands_in_it() {
    // Every prefix, and every fixture without each of its lines.
    for name in [
        "regular.md",
        "dependencies.md",
        "wrapped.md",
        "samples.md",
        "line-ends.md",
        "localized.md",
        "kiro.md",
    ] {
        let bytes = fixture(name);
        for end in (0..bytes.len()).step_by(7) {
            drop(told(&bytes[..end]));
        }
        let text = String::from_utf8(bytes).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for gap in 0..lines.len() {
            let rest: Vec<&str> =
                lines.iter().enumerate().filter(|(at, _)| *at != gap).map(|(_, line)| *line).collect();
            drop(told(rest.join("\n").as_bytes()));
        }
    }
}

/// `cargo test --release -p fusion-speckit -- --ignored --nocapture` prints how long large files take.
#[test]
#[ignore = "prints figures"]
fn large_files_take_so_long() {
    for count in [1_000, 10_000] {
        for (shape, text) in [("mixed", mixed(count)), ("all [P], two phases", beside(count))] {
            let begun = std::time::Instant::now();
            let file = TaskFile::read(text.as_bytes()).unwrap();
            let read = begun.elapsed();
            let order = file.order(Mode::Strict, false).unwrap();
            let edges: usize = order.steps.iter().map(|step| step.needs.len()).sum();
            println!(
                "{count} tasks, {shape}: read {read:?}, with order {:?}, {edges} edges",
                begun.elapsed()
            );
        }
    }
}

fn mixed(count: usize) -> String {
    let mut text = "# Tasks: Large\n".to_owned();
    for at in 1..=count {
        if at % 20 == 1 {
            line!(text, "\n## Phase {0}: User Story {0}\n\n**Goal**: something\n", at / 20 + 1);
        }
        let parallel = if at % 3 == 0 { "[P] " } else { "" };
        line!(
            text,
            "- [ ] T{at:03} {parallel}Write src/module_{}/file_{at}.rs (depends on T{:03})",
            at % 7,
            at.max(2) - 1
        );
    }
    text
}

fn beside(count: usize) -> String {
    let mut text = "# Tasks: Large\n\n## Phase 1: One\n\n".to_owned();
    for at in 1..=count {
        if at == count / 2 {
            text.push_str("\n## Phase 2: Two\n\n");
        }
        line!(text, "- [ ] T{at:03} [P] Write src/file_{at}.rs");
    }
    text
}
