//! Whether packages are fit to be released: their size, and what the distributions' own checkers say. Not here: how they
//! are made.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::build::{PROGRAMS, Profile, Recipe};
use crate::shell;

/// All programs together, in bytes.
const PROGRAMS_MAX: u64 = 30_000_000;

/// Prints the size of each program and holds their sum.
///
/// # Errors
///
/// When they are too large.
pub(super) fn sizes(recipe: &Recipe) -> anyhow::Result<()> {
    let mut sum = 0;
    for name in PROGRAMS {
        let path = recipe.programs().join(name);
        let bytes = path.metadata().with_context(|| format!("looking at {}", path.display()))?.len();
        shell::say(&format!("{bytes:>10}  {name}\n"));
        sum += bytes;
    }
    shell::say(&format!("{sum:>10}  bytes of programs, {PROGRAMS_MAX} are the limit\n"));
    if sum > PROGRAMS_MAX {
        bail!("the programs have {sum} bytes together, {PROGRAMS_MAX} are the limit");
    }
    Ok(())
}

/// Lets lintian and rpmlint judge; what is overridden has its reason beside it in `packaging/`.
///
/// # Errors
///
/// When one of them finds a warning or worse.
pub(super) fn packages(paths: &[PathBuf], profile: Profile) -> anyhow::Result<()> {
    let of = |ending: &str| -> Vec<String> {
        let fits = |path: &&PathBuf| path.extension().is_some_and(|found| found == ending);
        paths.iter().filter(fits).map(|path| path.to_string_lossy().into_owned()).collect()
    };
    lintian(&of("deb"))?;
    match profile {
        Profile::Release => rpmlint(&of("rpm")),
        // Programs of tests are not stripped, which is its first complaint.
        Profile::Dev => Ok(()),
    }
}

fn lintian(debs: &[String]) -> anyhow::Result<()> {
    shell::need("lintian", "lintian")?;
    let mut args = vec!["--fail-on", "error,warning", "--tag-display-limit", "0", "--allow-root"];
    args.extend(debs.iter().map(String::as_str));
    shell::run("lintian", &args)
}

/// rpmlint ends well also with warnings, so its last line is read.
fn rpmlint(rpms: &[String]) -> anyhow::Result<()> {
    shell::need("rpmlint", "rpmlint")?;
    let settings = shell::root().join("packaging/rpm/rpmlint.toml");
    let output = shell::command("rpmlint").arg("--config").arg(settings).args(rpms).output();
    let output = output.context("cannot start rpmlint")?;
    let said = String::from_utf8_lossy(&output.stdout);
    shell::say(&said);
    if !output.status.success() || !said.contains("0 errors, 0 warnings") {
        bail!("rpmlint found problems {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
