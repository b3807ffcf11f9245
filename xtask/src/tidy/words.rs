//! The only-here words: what may be named in one place alone, so that the wall around it holds.

use super::Problem;
use super::source::Source;

/// A word, where it may stand, and why nowhere else.
struct OnlyHere {
    /// The beginning of a path, or a single word.
    word: &'static [&'static str],
    /// Beginnings of file paths.
    places: &'static [&'static str],
    reason: &'static str,
}

const WORDS: &[OnlyHere] = &[
    OnlyHere {
        word: &["sled"],
        places: &["fusiond/daemon/src/store"],
        reason: "only the store knows what the state is kept in",
    },
    OnlyHere {
        word: &["unsafe"],
        places: &["fusiond/sys/"],
        reason: "only fusion-sys holds unsafe code: add a safe door there",
    },
    OnlyHere {
        word: &["fusion_core", "step"],
        places: &["fusiond/daemon/src/engine", "fusiond/core/"],
        reason: "only the engine steps the core: send it an input",
    },
    OnlyHere {
        word: &["fusion_proto"],
        // The bench and the chaos runs of xtask speak as users do, and so do tests of the doors.
        places: &[
            "fusiond/daemon/src/api",
            "fusiond/daemon/src/models",
            "fusiond/daemon/tests/house/served.rs",
            "fusionctl/",
            "gateway/",
            "bridge/",
            "tests/",
            "proto/",
            "xtask/",
        ],
        reason: "only the doors speak the wire: translate it at the door",
    },
    OnlyHere {
        word: &["Command", "new"],
        // Programs of users have an environment of their own.
        places: &["fusiond/", "fusionctl/", "tests/", "proto/", "xtask/src/shell.rs"],
        reason: "an errand starts programs by `shell::command`, which keeps the signing key from them",
    },
];

/// Words that stand where they may not.
pub(crate) fn only_here(source: &Source) -> Vec<Problem> {
    let mut problems = Vec::new();
    for rule in WORDS.iter().filter(|rule| !rule.places.iter().any(|place| source.path.starts_with(place))) {
        for line in lines_with(source, rule.word) {
            let text = format!("`{}` may not stand here: {}", rule.word.join("::"), rule.reason);
            problems.push(Problem::new(&source.path, line, text));
        }
    }
    problems
}

fn lines_with(source: &Source, word: &[&str]) -> Vec<usize> {
    let mut lines: Vec<usize> = match word {
        [single] => (0..source.tokens.len())
            .filter(|at| source.word(*at) == Some(single))
            .map(|at| source.tokens[at].line)
            .collect(),
        path => source
            .paths()
            .iter()
            .filter(|named| named.parts.iter().map(String::as_str).take(path.len()).eq(path.iter().copied()))
            .map(|named| named.line)
            .collect(),
    };
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        only_here(&Source::new(path, text)).iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn sled_stays_in_the_store() {
        assert_eq!(lines("fusiond/daemon/src/engine/mod.rs", "use sled::Db;"), [1]);
        assert!(lines("fusiond/daemon/src/store/tree.rs", "use sled::Db;").is_empty());
        assert!(
            lines("fusiond/daemon/src/config.rs", "let url = \"sled:///x\"; // sled\nlet sled_url = 1;")
                .is_empty()
        );
    }

    #[test]
    fn unsafe_stays_in_sys_and_its_lint_may_be_named() {
        assert_eq!(lines("fusiond/shim/src/main.rs", "#![deny(unsafe_code)]\nunsafe { x() }"), [2]);
        assert!(lines("fusiond/sys/src/lib.rs", "unsafe { x() }").is_empty());
    }

    #[test]
    fn the_core_is_stepped_by_the_engine_alone() {
        assert_eq!(lines("fusiond/daemon/src/api/tasks.rs", "use fusion_core::{State, step};"), [1]);
        assert!(lines("fusiond/daemon/src/engine.rs", "fusion_core::step(a)").is_empty());
        assert!(lines("fusiond/daemon/src/api/tasks.rs", "use fusion_core::State;").is_empty());
    }

    #[test]
    fn errands_start_programs_by_one_door() {
        assert_eq!(lines("xtask/src/dist.rs", "let x = Command::new(\"gzip\");"), [1]);
        assert!(lines("xtask/src/shell.rs", "Command::new(program)").is_empty());
    }

    #[test]
    fn the_wire_stays_at_the_doors() {
        assert_eq!(lines("fusiond/daemon/src/runtime/mod.rs", "\nuse fusion_proto::v1::Task;"), [2]);
        assert!(lines("fusiond/daemon/src/api/mod.rs", "use fusion_proto::v1::Task;").is_empty());
    }
}
