//! `cargo xtask newcomer`: what somebody meets who has nothing but a clone and the README. The commands are those that
//! the documents show; what the programs print is shown and compared.
//!
//! Not here: how documents are run (`fusion_tests::console`).

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use fusion_tests::console::{self, Played, Shell};

use crate::shell::{self, say};

/// From the end of the build to the first result.
const FIRST_RESULT_MAX: Duration = Duration::from_secs(60);

/// What follows once the README is done.
const GUIDE: &str = "docs/guide/first-agents.md";

/// How many things the guide shows.
const THINGS: usize = 10;

/// Clones this checkout as it was committed, follows the README, then the guide.
///
/// # Errors
///
/// When something differs from the documents, or the first result takes a minute or longer.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let warm = match flags {
        [] => Warmth::Cold,
        ["--warm"] => Warmth::Warm,
        _ => bail!("newcomer takes --warm, or nothing"),
    };
    let folder = tempfile::Builder::new().prefix("fusion-newcomer-").tempdir()?;
    rustix::fs::chmod(folder.path(), rustix::fs::Mode::from_raw_mode(0o755))?;
    let clone = folder.path().join("fusiond");
    let path = clone.to_str().context("the temporary folder has a strange name")?;
    shell::run("git", &["clone", "--quiet", ".", path])?;
    match warm {
        Warmth::Cold => {}
        // Dependencies need not be built again; the programs are.
        Warmth::Warm => std::os::unix::fs::symlink(shell::root().join("target"), clone.join("target"))?,
    }
    let readme = clone.join("README.md");
    let played = follow(&readme, &mut Shell::in_checkout(&clone))?;
    let time = console::time_to_first_result(&played).context("the README shows no result of a task")?;
    std::fs::remove_dir_all(clone.join("fusion"))?;
    let mut guided = Shell::in_checkout(&clone);
    guided.prepare(&console::started(&readme));
    let guide = follow(&clone.join(GUIDE), &mut guided)?;
    let mut things: Vec<&str> = guide.iter().map(|step| step.heading.as_str()).collect();
    things.dedup();
    ensure!(things.len() == THINGS, "{GUIDE} shows {} things, not {THINGS}", things.len());
    say(&format!(
        "\nfrom the end of the build to the first result: {:.1} s (at most {} s)\n{THINGS} things of {GUIDE}: all as shown\n",
        time.as_secs_f64(),
        FIRST_RESULT_MAX.as_secs()
    ));
    ensure!(time < FIRST_RESULT_MAX, "the first result took too long");
    Ok(())
}

/// Whether anything is built before.
enum Warmth {
    Cold,
    Warm,
}

/// Follows a document in sight of the user.
fn follow(document: &Path, shell: &mut Shell) -> anyhow::Result<Vec<Played>> {
    let mut played: Vec<Played> = Vec::new();
    let told = console::follow(document, shell, |step| {
        tell(&step, played.last());
        played.push(step);
    });
    told.map_err(anyhow::Error::msg)?;
    let wrong: Vec<&str> = played.iter().filter_map(|step| step.wrong.as_deref()).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    Ok(played)
}

/// As it stands on the terminal, each command with its time.
fn tell(step: &Played, before: Option<&Played>) {
    if before.is_none_or(|before| before.heading != step.heading) {
        say(&format!("\n## {}\n\n", step.heading));
    }
    let took = step.until.duration_since(step.from).as_secs_f64();
    say(&format!("[{took:7.2} s] $ {}\n", step.command));
    for line in &step.printed {
        say(&format!("{line}\n"));
    }
}
