//! Ticking boxes: the same bytes, but for the sign in the boxes of some tasks.
//!
//! Not for: reading and writing files.

use std::collections::HashSet;

use crate::task_line::state_of;
use crate::{Refusal, State, TaskFile};

/// What became of the boxes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticked {
    /// The whole file anew; `None`: there was nothing to tick.
    pub bytes: Option<Vec<u8>>,
    /// Names that no task with a box has.
    pub missing: Vec<String>,
}

/// Ticks the boxes of the tasks with these names. A box that is ticked stays as it is, and so does one that says that its task
/// is skipped.
///
/// # Errors
///
/// When the file cannot be read as such.
pub fn tick(bytes: &[u8], names: &[String]) -> Result<Ticked, Refusal> {
    let file = TaskFile::read(bytes)?;
    let wanted: HashSet<&str> = names.iter().map(String::as_str).collect();
    let boxes = |task: &crate::Task| task.box_at.filter(|_| wanted.contains(task.name.as_str()));
    let known: HashSet<&str> =
        file.tasks.iter().filter(|task| task.box_at.is_some()).map(|task| task.name.as_str()).collect();
    let missing = names.iter().filter(|name| !known.contains(name.as_str())).cloned().collect();
    let mut places: Vec<usize> =
        file.tasks.iter().filter(|task| !task.state.is_over()).filter_map(boxes).collect();
    if places.is_empty() {
        return Ok(Ticked { bytes: None, missing });
    }
    places.sort_unstable();
    let mark = usual_mark(bytes, &file);
    let text = str::from_utf8(bytes).expect("what was read as such is text");
    let mut ticked = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for at in places {
        let sign = text[at..].chars().next().expect("a box has a sign in it");
        debug_assert!(state_of(sign) != Some(State::Done), "it is open");
        ticked.extend_from_slice(&bytes[from..at]);
        ticked.push(mark);
        from = at + sign.len_utf8();
    }
    ticked.extend_from_slice(&bytes[from..]);
    Ok(Ticked { bytes: Some(ticked), missing })
}

/// `X` where the file has always written it so, else `x`.
fn usual_mark(bytes: &[u8], file: &TaskFile) -> u8 {
    let mut marks = file.tasks.iter().filter_map(|task| task.box_at).map(|at| bytes[at]);
    let (mut small, mut large) = (false, false);
    marks.by_ref().for_each(|mark| {
        small |= mark == b'x';
        large |= mark == b'X';
    });
    if large && !small { b'X' } else { b'x' }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticked(text: &str, names: &[&str]) -> (Option<String>, Vec<String>) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let Ticked { bytes, missing } = tick(text.as_bytes(), &names).expect("it can be read");
        (bytes.map(|bytes| String::from_utf8(bytes).expect("text")), missing)
    }

    #[test]
    fn one_byte_changes_and_every_other_one_stays() {
        let before = "\u{feff}# Tasks\r\n\r\n- [ ] T001 é\r\n* [~] **T002**\ta  \r\n```\n- [ ] T002\n```\n\t- [ ] T003 ü";
        let (after, missing) = ticked(before, &["T002", "T003"]);
        assert_eq!(after.unwrap(), before.replace("[~]", "[x]").replace("- [ ] T003", "- [x] T003"));
        assert!(missing.is_empty());
    }

    #[test]
    fn what_is_ticked_or_skipped_stays_and_what_is_missing_is_told() {
        let (after, missing) = ticked("- [X] T001\n- [-] T002\n", &["T001", "T002", "T003"]);
        assert_eq!((after, missing), (None, vec!["T003".to_owned()]));
    }

    #[test]
    fn the_mark_is_the_one_that_the_file_uses() {
        assert_eq!(ticked("- [X] T001\n- [ ] T002", &["T002"]).0.unwrap(), "- [X] T001\n- [X] T002");
        assert_eq!(ticked("- [✅] T001\n- [?] T002", &["T002"]).0.unwrap(), "- [✅] T001\n- [x] T002");
    }

    #[test]
    fn the_second_of_two_with_one_id_has_a_box_of_its_own() {
        assert_eq!(
            ticked("- [ ] T001 a\n- [ ] T001 b\n", &["T001-2"]).0.unwrap(),
            "- [ ] T001 a\n- [x] T001 b\n"
        );
    }
}
