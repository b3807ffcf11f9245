//! The size rules: a header in each file, files of 500 lines, functions of 70. Not here: what the words mean.

use super::Problem;
use super::source::Source;

/// A longer file has two subjects.
const FILE_LINES_MAX: usize = 500;

/// A longer function does not fit a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// A file begins with what the room is for.
pub(crate) fn header(source: &Source) -> Option<Problem> {
    let first = source.text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#!"));
    let is_header =
        first.is_some_and(|line| line.strip_prefix("//!").is_some_and(|rest| !rest.trim().is_empty()));
    (!is_header).then(|| {
        Problem::new(
            &source.path,
            1,
            "no header: begin with `//!`, what this room is for and what it is not for",
        )
    })
}

/// Files and functions fit into a head.
pub(crate) fn lengths(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        let text = format!(
            "{lines} lines, {FILE_LINES_MAX} are the limit: find the second subject and give it a file"
        );
        problems.push(Problem::new(&source.path, FILE_LINES_MAX + 1, text));
    }
    for (name, first, last) in functions(source) {
        let length = last - first + 1;
        if length > FUNCTION_LINES_MAX {
            let text = format!("fn {name} has {length} lines, {FUNCTION_LINES_MAX} are the limit");
            problems.push(Problem::new(&source.path, first, text));
        }
    }
    problems
}

/// Name, first line and last line of each function with a body.
pub(crate) fn functions(source: &Source) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for at in 0..source.tokens.len() {
        if source.word(at) != Some("fn") {
            continue;
        }
        let Some(name) = source.word(at + 1) else { continue };
        if let Some(end) = body_end(source, at) {
            found.push((name.to_owned(), source.tokens[at].line, source.tokens[end].line));
        }
    }
    found
}

/// The closing brace of the function whose `fn` is at `at`; none for a mere signature.
fn body_end(source: &Source, at: usize) -> Option<usize> {
    let mut nested = 0_i32;
    let mut open = at;
    loop {
        if source.is_sign(open, '(') || source.is_sign(open, '[') {
            nested += 1;
        } else if source.is_sign(open, ')') || source.is_sign(open, ']') {
            nested -= 1;
        } else if nested == 0 && source.is_sign(open, ';') || open >= source.tokens.len() {
            return None;
        } else if nested == 0 && source.is_sign(open, '{') {
            break;
        }
        open += 1;
    }
    let mut depth = 0_i32;
    for end in open..source.tokens.len() {
        depth += i32::from(source.is_sign(end, '{')) - i32::from(source.is_sign(end, '}'));
        if depth == 0 {
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_header_is_a_problem() {
        assert!(header(&Source::new("a.rs", "\n//! The room.\n")).is_none());
        assert!(header(&Source::new("a.rs", "//!\nuse a::b;\n")).is_some());
        assert!(header(&Source::new("a.rs", "// no\n//! The room.")).is_some());
    }

    #[test]
    fn functions_are_measured_from_signature_to_brace() {
        let source =
            Source::new("a.rs", "fn a(x: [u8; 2])\nwhere A: B,\n{\n if { } \n}\ntrait T { fn b(); }\n");
        assert_eq!(functions(&source), [("a".to_owned(), 1, 5)]);
    }

    #[test]
    fn a_long_function_and_a_long_file_are_problems() {
        let source = Source::new("a.rs", &format!("fn a() {{{}}}{}", "\n".repeat(70), "\n".repeat(500)));
        let lines: Vec<usize> = lengths(&source).iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [501, 1]);
        assert!(lengths(&Source::new("a.rs", &format!("fn a() {{{}}}", "\n".repeat(69)))).is_empty());
    }
}
