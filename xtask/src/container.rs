//! `cargo xtask container`: builds the image of `packaging/docker` and uses it as its users do: commands, doctor, a stop, a
//! restart, a new container on the old volume, a kill.
//!
//! ```text
//! engine (the one that runs, or one of its own) ─► bases (pulled, or made here) ─► docker build ─► stories
//! ```
//!
//! Not here: packages (`dist`) and machines (`vm`).

mod bases;
mod engine;
mod stories;

use anyhow::{Context as _, bail};

use self::engine::Engine;
use crate::shell;

/// Builds the image and runs the stories. The image, its containers and volumes are removed.
///
/// # Errors
///
/// When there is no engine, the image cannot be built, or a story fails.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let mut wanted = Wanted::read(flags)?;
    let engine = Engine::find()?;
    if wanted.local {
        wanted.arguments = bases::make(&engine)?;
    }
    let image = engine.own_name("image");
    let outcome = build(&engine, &image, &wanted.arguments).and_then(|()| stories::run(&engine, &image));
    let bases = wanted.arguments.iter().filter(|_| wanted.local).map(|(_, base)| base.as_str());
    let made: Vec<&str> = ["image", "rm", "--force", &image].into_iter().chain(bases).collect();
    let removed = engine.answer(&made);
    outcome?;
    removed.map(drop)
}

fn build(engine: &Engine, image: &str, arguments: &[(&str, String)]) -> anyhow::Result<()> {
    let mut words: Vec<String> = vec!["build".into(), "--file".into(), "packaging/docker/Dockerfile".into()];
    words.extend(["--tag".into(), image.to_owned()]);
    for (name, value) in arguments {
        words.extend(["--build-arg".into(), format!("{name}={value}")]);
    }
    if engine.is_own() {
        // It has no bridge.
        words.extend(["--network".into(), "host".into()]);
    }
    words.push(".".into());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    engine.run(&words)
}

/// What the flags ask for.
struct Wanted {
    local: bool,
    arguments: Vec<(&'static str, String)>,
}

impl Wanted {
    fn read(flags: &[&str]) -> anyhow::Result<Self> {
        let mut wanted = Self { local: false, arguments: Vec::new() };
        let mut flags = flags.iter();
        while let Some(flag) = flags.next() {
            let name = match *flag {
                "--local" => {
                    wanted.local = true;
                    continue;
                }
                "--build-image" => "BUILD_IMAGE",
                "--run-image" => "RUN_IMAGE",
                other => {
                    bail!(
                        "{other:?} is no flag of `container`: --build-image IMAGE, --run-image IMAGE, --local"
                    )
                }
            };
            let image = flags.next().with_context(|| format!("{flag} takes the name of an image"))?;
            wanted.arguments.push((name, (*image).to_owned()));
        }
        if wanted.local && !wanted.arguments.is_empty() {
            bail!("--local makes both images: leave out --build-image and --run-image");
        }
        if wanted.local && !fusion_tests::is_root() {
            bail!("images are made by root: run `sudo cargo xtask container --local`");
        }
        shell::say("container: the image of packaging/docker\n");
        Ok(wanted)
    }
}
