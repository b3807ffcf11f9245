//! A later version of this checkout, as the machine is upgraded to one: the same sources with the next number of a version
//! and the next schema, so that its programs are others, say so, and write state that this version does not read. Not here:
//! what an upgrade must keep (`tests/vm/stories`).

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};

use crate::dist::{self, Profile, Recipe};
use crate::shell;

/// Makes its packages in `out`, as those of this version are made, whose man pages they get. Its programs then lie where those
/// of this version lay.
///
/// # Errors
///
/// When the sources cannot be copied, one of them lacks what a later version would change, or they do not build.
pub(super) fn pack(out: &Path, now: &Recipe, with_rpm: bool) -> anyhow::Result<()> {
    let checkout = now.target.join("later");
    write(&checkout)?;
    let pages = tempfile::tempdir().context("a temporary folder")?;
    dist::answer(shell::command("cp").arg("-rT").arg(now.staged_pages()).arg(pages.path()))?;
    let flags = [(now.profile == Profile::Release, "--release"), (!with_rpm, "--without-rpm")];
    shell::say(&format!("building a later version in {}\n", checkout.display()));
    // By this name also when a build has put another file in its place.
    let status = shell::command("/proc/self/exe")
        .arg("packages")
        .arg(out)
        .args(flags.iter().filter_map(|(is_asked, flag)| is_asked.then_some(flag)))
        .arg("--pages")
        .arg(pages.path())
        .env(shell::CHECKOUT, &checkout)
        // One target folder: they share all libraries.
        .envs([("CARGO_TARGET_DIR", now.target.as_os_str()), ("SOURCE_DATE_EPOCH", dist::epoch()?.as_ref())])
        .current_dir(&checkout)
        .status()
        .context("cannot start this program")?;
    ensure!(status.success(), "the later version does not build: {status}");
    Ok(())
}

/// Copies the checkout as it lies there. Files keep their times, by which cargo sees what is built.
fn write(checkout: &Path) -> anyhow::Result<()> {
    if checkout.exists() {
        fs::remove_dir_all(checkout).with_context(|| format!("emptying {}", checkout.display()))?;
    }
    fs::create_dir_all(checkout).with_context(|| format!("making {}", checkout.display()))?;
    let copy = "git ls-files -z --cached --others --exclude-standard | \
        tar --create --null --ignore-failed-read --warning=no-failed-read --files-from=- | tar --extract --directory \"$0\"";
    dist::answer(shell::command("sh").args(["-c", copy]).arg(checkout).current_dir(shell::root()))?;
    change(&checkout.join("Cargo.toml"), next_version)?;
    change(&checkout.join("fusiond/daemon/src/engine/record.rs"), next_schema)?;
    change(&checkout.join("fusiond/daemon/src/engine/migrate/mod.rs"), one_more_step)?;
    // The lock file names the versions of the checkout's own packages, too.
    let lock = ["update", "--workspace", "--offline", "--quiet"];
    dist::answer(shell::command(shell::cargo()).args(lock).current_dir(checkout))?;
    Ok(())
}

fn change(path: &Path, edit: fn(&str) -> Option<String>) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let time = fs::metadata(path)?.modified()?;
    let text =
        edit(&text).with_context(|| format!("{} lacks what a later version changes", path.display()))?;
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))?;
    let file = fs::File::options().append(true).open(path)?;
    file.set_modified(time).with_context(|| format!("setting the time of {}", path.display()))
}

/// The text with what stands between the first `before` and the next `after` replaced.
fn replace(text: &str, (before, after): (&str, &str), by: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (head, rest) = text.split_once(before)?;
    let (found, tail) = rest.split_once(after)?;
    Some(format!("{head}{before}{}{after}{tail}", by(found)?))
}

/// `0.1.0` becomes `0.2.0`.
fn next_version(manifest: &str) -> Option<String> {
    replace(manifest, ("\nversion = \"", "\"\n"), |version| {
        let (major, minor) = version.split_once('.')?;
        let minor: u32 = minor.split_once('.')?.0.parse().ok()?;
        Some(format!("{major}.{}.0", minor + 1))
    })
}

fn next_schema(source: &str) -> Option<String> {
    replace(source, ("pub const SCHEMA: u32 = ", ";"), |number| {
        Some((number.parse::<u32>().ok()? + 1).to_string())
    })
}

/// The step writes each value anew, as one does that changes its shape.
fn one_more_step(source: &str) -> Option<String> {
    replace(source, ("pub const MIGRATIONS: &[Migration] = &[", "];"), |steps| {
        Some(format!("{steps}, |_key, body| Ok(Some(body.to_vec()))"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_has_the_next_numbers() {
        let read = |name: &str| fs::read_to_string(shell::root().join(name)).unwrap();
        let manifest = next_version(&read("Cargo.toml")).expect("the manifest has a version");
        assert!(!manifest.contains(&format!("\nversion = \"{}\"", env!("CARGO_PKG_VERSION"))), "{manifest}");
        next_schema(&read("fusiond/daemon/src/engine/record.rs")).expect("the records have a schema");
        one_more_step(&read("fusiond/daemon/src/engine/migrate/mod.rs")).expect("there are steps");

        assert_eq!(next_version("[x]\nversion = \"0.9.3\"\n").unwrap(), "[x]\nversion = \"0.10.0\"\n");
        assert_eq!(next_schema("pub const SCHEMA: u32 = 9;").unwrap(), "pub const SCHEMA: u32 = 10;");
        assert_eq!(next_schema("const SCHEMA: u32 = 9;"), None);
    }
}
