//! `--check-config`: what is in force, as a file that could be read again. Not here: printing it.

use std::fmt::Write as _;

use super::load::Loaded;
use super::problem::Origin;
use super::read;
use crate::paths::Mode;

/// Always so where the daemon is not that of the machine.
const ROOT_AGENTS: &str = "allow_root_agents";

impl Loaded {
    /// The effective configuration as TOML: notes and places as comments, and behind each value that is no default
    /// where it came from.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        let paths = &self.paths;
        let config = paths.config.as_ref().map_or("none".into(), |path| path.display().to_string());
        let places = [
            ("config", config),
            ("socket", paths.socket.display().to_string()),
            ("run", paths.run.display().to_string()),
            ("state", paths.state.display().to_string()),
            ("store", paths.store.display().to_string()),
            ("workspaces", paths.workspaces.display().to_string()),
        ];
        line(&mut out, format_args!("# mode: {}", paths.mode.word()));
        for (name, path) in places {
            line(&mut out, format_args!("# {name}: {path}"));
        }
        for note in &self.notes {
            line(&mut out, format_args!("# note: {note}"));
        }
        let mut entries: Vec<_> = self.values.0.iter().collect();
        // Keys of the top come before the first table.
        entries.sort_by_key(|(path, _)| (path.len() > 1, path.split_last().map(|(_, above)| above.to_vec())));
        let mut section: &[String] = &[];
        for (path, (value, origin)) in entries {
            let Some((key, above)) = path.split_last() else { continue };
            if above != section {
                line(&mut out, format_args!("\n[{}]", read::dotted(above)));
                section = above;
            }
            let key = read::dotted(std::slice::from_ref(key));
            if above.is_empty() && key == ROOT_AGENTS && paths.mode != Mode::System {
                line(&mut out, format_args!("{key} = true  # --{}", paths.mode.word()));
                continue;
            }
            match origin {
                Origin::Default => line(&mut out, format_args!("{key} = {}", value.toml())),
                Origin::File(..) | Origin::Text(..) | Origin::Variable(_) | Origin::Flag(_) => {
                    line(&mut out, format_args!("{key} = {}  # {origin}", value.toml()));
                }
            }
        }
        out
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("a String takes everything");
}
