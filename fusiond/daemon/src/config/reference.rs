//! The reference of all settings and variables, written from the same tables that read them; a test holds
//! `docs/reference/config.md` and `.env.example` fresh. Not here: profiles (`docs/reference/profiles.md`).
//!
//! `cargo xtask docs` writes both files anew.

use std::fmt::Write as _;

use super::environment::{VARIABLES, Variable};
use super::table::{SETTINGS, Setting, Used};

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by a test from fusiond/daemon/src/config: cargo xtask docs -->

`fusiond` takes its settings from, each overriding the one before: built-in defaults, files, the environment, flags.
`fusiond --check-config` checks all of them, prints what is in force, and says where each value came from. All problems
are told at once; an unknown key is one, and is answered with the nearest known key.

| | system mode (root) | `fusiond --user` | `fusiond --root DIR` |
| --- | --- | --- | --- |
| files | `/etc/fusiond/fusiond.toml`, `fusiond.toml.d/*.toml` | the same in `$XDG_CONFIG_HOME/fusiond` | `--config FILE`, `FILE.d/*.toml` |
| socket | `/run/fusiond/fusiond.sock` | `$XDG_RUNTIME_DIR/fusiond/fusiond.sock` | `DIR/run/fusiond.sock` |
| state | `/var/lib/fusiond` | `$XDG_STATE_HOME/fusiond` | `DIR/state` |
| workspaces | `/var/lib/fusiond/workspaces` | `$XDG_STATE_HOME/fusiond/workspaces` | `DIR/workspaces` |

Files of a `.d` folder are read in the order of their names; a later one overrides an earlier one key by key. In system
mode every file must belong to root and be writable by root alone. The store lies in `store` below the state folder.

`fusionctl system reload` and SIGHUP read files and profile folders anew. In force at once are: LIVE. The rest waits for a
restart, and the answer names what waits. With a problem in a file nothing changes.

Durations are `350ms`, `1.5s`, `10m`, `2h`, `7d`, or sums such as `1h30m`. Sizes are bytes, or `64KiB`, `64MiB`, `2GiB`,
`1TiB`, also with one letter; all are powers of 1024. Permissions are octal: `\"0o700\"`.
";

const ENVIRONMENT: &str = "\
## Environment

Each variable exists also with the prefix `FUSION_`, which wins. An unprefixed one may be meant for another program: if
its value makes no sense here, it is reported and ignored; with the prefix it is an error, and permissions that are too
loose always are. An empty variable counts as absent. `.env.example` lists them all.

| variable | setting | value | meaning |
| --- | --- | --- | --- |
";

const FLAGS: &str = "
## Flags

| flag | meaning |
| --- | --- |
";

/// All settings, variables and flags, as `docs/reference/config.md`.
#[must_use]
pub fn reference() -> String {
    let live: Vec<String> =
        super::reload::LIVE.iter().map(|key| format!("`{}`", key.trim_end_matches('.'))).collect();
    let mut out = INTRODUCTION.replace("LIVE", &live.join(", "));
    out.push_str("\n## Settings\n");
    let mut section = None;
    for setting in SETTINGS.iter().filter(|setting| setting.used == Used::Now) {
        if section != Some(setting.section()) {
            section = Some(setting.section());
            head(&mut out, setting);
        }
        row(&mut out, setting);
    }
    out.push_str(
        "\n## Settings of parts that this version does not have\n\nTheir shape is checked, and `--check-config` says \
         that they are not used.\n\n| key | value | meaning |\n| --- | --- | --- |\n",
    );
    for setting in SETTINGS.iter().filter(|setting| setting.used == Used::Later) {
        let name = setting.key.replace('*', "NAME");
        writeln!(out, "| `{name}` | {} | {} |", setting.kind.label(), setting.about)
            .expect("a String takes everything");
    }
    out.push('\n');
    out.push_str(ENVIRONMENT);
    for variable in VARIABLES {
        let key = variable.key.map_or("–".into(), |key| format!("`{key}`"));
        let about = format!("{}{}", variable.about, unused(variable));
        writeln!(out, "| `{}` | {key} | {} | {about} |", variable.name, variable.kind.label())
            .expect("a String takes everything");
    }
    out.push_str(FLAGS);
    flags(&mut out);
    out
}

fn head(out: &mut String, setting: &Setting) {
    match setting.section().replace('*', "NAME").as_str() {
        "" => out.push_str("\nAt the top of the file, before the first table:\n\n"),
        section => write!(out, "\n### `[{section}]`\n\n").expect("a String takes everything"),
    }
    out.push_str("| key | value | default | meaning |\n| --- | --- | --- | --- |\n");
}

fn row(out: &mut String, setting: &Setting) {
    let key = setting.key.rsplit('.').next().unwrap_or(setting.key);
    let default = setting.default.map_or("–".into(), |text| {
        format!("`{}`", setting.kind.parse_word(text).expect("a test reads every default").toml())
    });
    writeln!(out, "| `{key}` | {} | {default} | {} |", setting.kind.label(), setting.about)
        .expect("a String takes everything");
}

fn unused(variable: &Variable) -> &'static str {
    match variable.used() {
        Used::Now => "",
        Used::Later => "; not used by this version",
    }
}

fn flags(out: &mut String) {
    let command = <super::Args as clap::CommandFactory>::command();
    for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
        let Some(name) = argument.get_long() else { continue };
        let value = argument.get_value_names().filter(|_| argument.get_action().takes_values());
        let value = value.map_or(String::new(), |names| format!(" {}", names[0]));
        let about = argument.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(out, "| `--{name}{value}` | {} |", about.trim_end_matches('.'))
            .expect("a String takes everything");
    }
    out.push_str(
        "| `restore FILE` | bring back a backup where there is no state, while no daemon runs |\n\
         | `completion SHELL` | write what lets a shell complete these flags |\n",
    );
}

/// All variables, as `.env.example`.
#[must_use]
pub fn environment_example() -> String {
    let mut out = String::from(
        "# Settings by environment; docs/reference/config.md has the whole story.\n\
         # Each variable exists also with the prefix FUSION_, which wins. Order: defaults < files < environment < flags.\n",
    );
    for variable in VARIABLES {
        write!(out, "\n# {}{}\n", variable.about, unused(variable)).expect("a String takes everything");
        writeln!(out, "#{}={}", variable.name, variable.example).expect("a String takes everything");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_written_reference_is_fresh() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut stale = Vec::new();
        for (name, fresh) in
            [("docs/reference/config.md", reference()), (".env.example", environment_example())]
        {
            let path = root.join(name);
            if std::env::var_os("UPDATE_GENERATED").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, fresh).unwrap();
            } else if std::fs::read_to_string(path).ok().as_ref() != Some(&fresh) {
                stale.push(name);
            }
        }
        assert!(stale.is_empty(), "{stale:?} differ from the tables: run cargo xtask docs");
    }
}
