//! `cargo xtask …`: the errands of the house, in Rust so that they run wherever the house builds.
//!
//! Only the choice of the errand is here; each is a room of its own. Not here: anything that ships.

mod bench;
mod chaos;
mod client;
mod container;
mod debian;
mod demo;
mod dist;
mod docs;
mod lives;
mod newcomer;
mod shell;
mod test;
mod tidy;
mod units;
mod vm;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask ERRAND

  demo                      start a daemon, give it work, kill it in the middle, show that nothing is lost
  test                      run everything that CI runs, and install what it needs
  bench tasks [--rounds N] [--agents N]
                            tasks per second against the limit of posix_spawn and against xargs and parallel
  bench agents [--agents N] memory, wake-ups and adoption of many idle agents; death, replacement and freeze of one
  bench overhead [--rounds N]
                            what supervision costs a task that computes, and one that writes a gigabyte
  bench bulk [--count N]    cancel, retry, hold, release and update of many tasks against their submit
  bench dag [--rounds N] [--agents N] [--check]
                            graphs of true against make and ninja, a chain of them, and what a large one takes to check;
                            with --check a bound that is broken fails
  bench start [--count N] [--rounds N] [--check]
                            from the start of the daemon to READY, empty and with many tasks
  bench submit [--count N]  the time of one submit against a raw probe, and from submit to process
  chaos kill [--cycles N] [--seed N]
                            kill -9 of the daemon at random points under load; count what is lost
  chaos dag [--cycles N] [--seed N]
                            kill -9 of the daemon during a run of 200 nodes; compare with the same run in peace
  chaos down [--cycles N] [--seed N]
                            agents end while the daemon is dead; compare what it learns with the truth
  container [--build-image IMAGE] [--run-image IMAGE] [--local]
                            build the image of packaging/docker and use it, in an engine of its own where none runs;
                            --local: from images made here, where none can be pulled
  dist [--check] [--dev] [--repo DIR [--unsigned]]
                            packages for Debian and Red Hat, bill of materials and checksums in target/dist; builds
                            them twice and compares; as tests build them; an apt repository signed with the key in
                            FUSIOND_SIGNING_KEY
  docs                      write everything anew that is generated: wire code, references, .env.example
  lives [--seeds N]         the core's properties in so many random lives (10,000)
  man [DIR]                 write the man pages [default: target/man]
  newcomer [--warm]         clone, follow the README to the first result and the guide, and time it [--warm: reuse what
                            is built here]
  notices FILE PROGRAM…     write the licence texts of the libraries in these programs
  packages DIR [--release] [--without-rpm] [--pages DIR]
                            the packages alone, as tests build them, neither judged nor told of; with man pages that
                            are there already
  tidy                      check the rules of the house that no compiler checks
  vm [--quick | --kvm] [--without-rpm] [--release] [STORY…]
                            install the packages on a machine with systemd and run the stories of tests/vm there;
                            in qemu (emulated, or with --kvm not), or with --quick in systemd-nspawn
  units                     let systemd judge the units, and hold how exposed the service is
";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["bench", "tasks", flags @ ..] => bench::tasks::run(flags),
        ["bench", "submit", flags @ ..] => bench::submit::run(flags),
        ["bench", "dag", flags @ ..] => bench::dag::run(flags),
        ["bench", "start", flags @ ..] => bench::start::run(flags),
        ["bench", "bulk", flags @ ..] => bench::bulk::run(flags),
        ["bench", "agents", flags @ ..] => bench::agents::run(flags),
        ["bench", "overhead", flags @ ..] => bench::overhead::run(flags),
        ["bench", "probe", socket, file] => bench::probe::serve(socket, file),
        ["chaos", "dag", flags @ ..] => chaos::dag(flags),
        ["chaos", "down", flags @ ..] => chaos::down(flags),
        ["chaos", "kill", flags @ ..] => chaos::kill(flags),
        ["container", flags @ ..] => container::run(flags),
        ["demo"] => demo::run(),
        ["dist", flags @ ..] => dist::run(flags),
        ["docs"] => docs::write(),
        ["lives", flags @ ..] => lives::run(flags),
        ["newcomer", flags @ ..] => newcomer::run(flags),
        ["packages", folder, flags @ ..] => dist::packages(folder.as_ref(), flags),
        ["notices", words @ ..] => dist::notices::run(words),
        ["man"] => docs::man("target/man"),
        ["man", folder] => docs::man(folder),
        ["test"] => test::run(),
        ["tidy"] => tidy::run(),
        ["vm", flags @ ..] => vm::run(flags),
        ["units"] => units::run(),
        _ => {
            shell::complain(USAGE);
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::complain(&format!("error: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}
