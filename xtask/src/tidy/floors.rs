//! The floors: imports only go down, between the crates and between the modules of the daemon.
//!
//! ```text
//!   roof     main lib app inlet                    puts the house together, opens and closes it
//!   doors    api systemd shutdown reload           translate, authorise, never decide
//!   engine   engine                                the one writer
//!   hands    runtime workspace health caller …     do, report, never decide
//!   ground   store, and what all floors stand on: config paths profile telemetry turns vault
//! ```

use super::Problem;
use super::source::{Named, Source};

const DAEMON: &str = "fusiond/daemon/src/";

/// The floors of the daemon from the ground up. A module may name its own floor and those below.
const FLOORS: &[(&str, &[&str])] = &[
    ("ground", &["store", "config", "paths", "profile", "telemetry", "turns", "vault"]),
    ("hands", &["runtime", "workspace", "health", "caller"]),
    ("engine", &["engine"]),
    ("doors", &["api", "systemd", "shutdown", "reload"]),
    ("roof", &["app", "inlet", "main", "lib"]),
];

/// Which own crates a crate may stand on, besides its tests.
const CRATES: &[(&str, &[&str])] = &[
    ("fusiond/core/Cargo.toml", &[]),
    ("fusiond/workflow/Cargo.toml", &[]),
    ("fusiond/sys/Cargo.toml", &[]),
    ("fusiond/speckit/Cargo.toml", &[]),
    ("fusiond/shim/Cargo.toml", &["fusion-sys", "fusion-speckit"]),
    (
        "fusiond/daemon/Cargo.toml",
        &["fusion-core", "fusion-proto", "fusion-sys", "fusion-shim", "fusion-workflow"],
    ),
    ("proto/Cargo.toml", &[]),
    ("fusionctl/Cargo.toml", &["fusion-proto", "fusion-speckit", "fusion-workflow"]),
    ("tests/Cargo.toml", &["fusion-proto"]),
    ("xtask/Cargo.toml", &["fusion-proto", "fusion-tests"]),
];

/// Imports inside the daemon that go up a floor, and modules that stand on none.
pub(crate) fn imports(source: &Source) -> Vec<Problem> {
    let Some(inside) = source.path.strip_prefix(DAEMON) else { return Vec::new() };
    let own = module_of(inside);
    let Some(own_floor) = floor_of(own[0]) else {
        let text =
            format!("module `{}` is on no floor: add it to FLOORS in xtask/src/tidy/floors.rs", own[0]);
        return vec![Problem::new(&source.path, 1, text)];
    };
    let mut problems = Vec::new();
    for named in source.paths() {
        let Some(target) = target_of(&named, &own) else { continue };
        let Some(floor) = floor_of(&target) else { continue };
        if floor > own_floor {
            let text = format!(
                "`{}` ({}) may not name `{target}` ({}): imports only go down",
                own[0], FLOORS[own_floor].0, FLOORS[floor].0
            );
            problems.push(Problem::new(&source.path, named.line, text));
        }
    }
    problems.dedup();
    problems
}

/// Own crates in `[dependencies]` that the wall of this crate keeps out.
pub(crate) fn manifest(path: &str, text: &str) -> Vec<Problem> {
    let Some((_, allowed)) = CRATES.iter().find(|(manifest, _)| *manifest == path) else { return Vec::new() };
    let mut problems = Vec::new();
    let mut section = "";
    for (number, line) in text.lines().enumerate() {
        if line.starts_with('[') {
            section = line.trim();
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        let is_own = name.starts_with("fusion-") || name == "fusiond" || name == "fusionctl";
        if section == "[dependencies]" && is_own && !allowed.contains(&name) {
            let text = format!(
                "this crate may not stand on `{name}`: see the table of crates in docs/architecture.md"
            );
            problems.push(Problem::new(path, number + 1, text));
        }
    }
    problems
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, modules)| modules.contains(&module))
}

/// `store/journal/mod.rs` is the module `store::journal`.
fn module_of(inside: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
    if parts.len() > 1 && parts.last() == Some(&"mod") {
        parts.pop();
    }
    parts
}

/// The room of the daemon that a path leads to; none when it stays in its own or leaves the crate.
fn target_of(named: &Named, own: &[&str]) -> Option<String> {
    let parts: Vec<&str> = named.parts.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["crate" | "fusiond", target, ..] => Some((*target).to_owned()),
        ["super", ..] => {
            // A module nested in a file may climb one step more than the file's own depth says; the word behind
            // the last `super` decides, and words that are no room are nobody's floor.
            let ups = parts.iter().take_while(|part| **part == "super").count();
            let target = parts.get(ups)?;
            (ups >= own.len()).then(|| (*target).to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        imports(&Source::new(path, text)).iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn imports_go_down() {
        assert!(lines("fusiond/daemon/src/engine/mod.rs", "use crate::store::Store;").is_empty());
        assert_eq!(lines("fusiond/daemon/src/store/mod.rs", "use crate::{config, engine::Engine};"), [1]);
        assert_eq!(lines("fusiond/daemon/src/engine/turn.rs", "\nlet x = crate::api::serve();"), [2]);
        assert_eq!(lines("fusiond/daemon/src/runtime/mod.rs", "use crate::engine;"), [1]);
    }

    #[test]
    fn climbing_by_super_is_seen_too() {
        assert_eq!(lines("fusiond/daemon/src/runtime/mod.rs", "use super::engine::Engine;"), [1]);
        assert_eq!(lines("fusiond/daemon/src/runtime/probe.rs", "use super::super::api::x;"), [1]);
        assert!(lines("fusiond/daemon/src/runtime/probe.rs", "use super::engine::x;").is_empty());
    }

    #[test]
    fn a_module_on_no_floor_is_a_problem() {
        assert_eq!(lines("fusiond/daemon/src/cellar.rs", ""), [1]);
    }

    #[test]
    fn crates_stand_only_on_those_below() {
        let text =
            "[dependencies]\nfusion-proto.workspace = true\n[dev-dependencies]\nfusiond.workspace = true\n";
        assert_eq!(manifest("fusiond/shim/Cargo.toml", text).len(), 1);
        assert!(manifest("fusionctl/Cargo.toml", text).is_empty());
    }
}
