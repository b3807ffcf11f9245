//! `cargo xtask bench submit`: the time of one durable submit against the raw probe, and from submit to process.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use fusion_proto::v1::SubmitTaskRequest;
use fusion_proto::v1::task_service_client::TaskServiceClient;

use super::peers::TRUE;
use super::probe::Probe;
use super::stage::Stage;
use super::stats::{median, percentile};
use crate::client::{Client, channel, runtime};
use crate::shell::{build_release, number_flag, say};

/// Starts measured on an idle daemon.
const STARTS: usize = 200;

/// Measures and prints.
///
/// # Errors
///
/// When the daemon or the probe does not do its work.
pub(crate) fn run(flags: &[&str]) -> anyhow::Result<()> {
    let count = number_flag(flags, "--count", 1000)?;
    build_release()?;
    let stage = Stage::new(1);
    let (submit, probe) = interleaved(&stage, count)?;
    say(&format!("{count} of each, interleaved, in ms\n{:<26} {:>8} {:>8}\n", "", "p50", "p99"));
    for (name, times) in [("submit", &submit), ("raw probe", &probe)] {
        say(&format!("{name:<26} {:>8.3} {:>8.3}\n", median(times), percentile(times, 99)));
    }
    let ratio = |percent| percentile(&submit, percent) / percentile(&probe, percent);
    say(&format!("{:<26} {:>8.2} {:>8.2}\n", "ratio", ratio(50), ratio(99)));
    let starts = starts(&stage)?;
    say(&format!(
        "\nsubmit to process started, idle daemon, {STARTS} times: p50 {:.2} ms, p99 {:.2} ms\n",
        median(&starts),
        percentile(&starts, 99)
    ));
    fusion_tests::users::remove_all();
    Ok(())
}

/// Submits tasks that nobody takes, each followed by a call of the probe; milliseconds of each.
fn interleaved(stage: &Stage, count: u64) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let request = SubmitTaskRequest {
        prompt: "measure twice, cut once".to_owned(),
        capabilities: vec!["nobody".to_owned()],
        ..SubmitTaskRequest::default()
    };
    let (mut submits, mut probes) = (Vec::new(), Vec::new());
    runtime()?.block_on(async {
        let mut probe = Probe::start(stage.daemon.folder()).await?;
        let mut tasks = TaskServiceClient::new(channel(&stage.daemon.socket()).await?);
        for round in 0..count + 50 {
            let begin = Instant::now();
            tasks.submit_task(request.clone()).await.context("the task was refused")?;
            let submitted = begin.elapsed();
            let begin = Instant::now();
            probe.call().await?;
            let probed = begin.elapsed();
            // The first calls warm both sides up.
            if round >= 50 {
                submits.push(submitted.as_secs_f64() * 1000.0);
                probes.push(probed.as_secs_f64() * 1000.0);
            }
        }
        anyhow::Ok(())
    })?;
    Ok((submits, probes))
}

/// Milliseconds from before the submit to the start that the shim recorded, one task at a time.
fn starts(stage: &Stage) -> anyhow::Result<Vec<f64>> {
    let owner = stage.ctl.json(&["agent", "show", "a0"]);
    let user = owner["user"].as_str().context("an agent has an owner")?.to_owned();
    let mut client = Client::connect(&stage.daemon.socket())?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let run = vec![TRUE.to_owned()];
        let before = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?;
        let task =
            client.submit(SubmitTaskRequest { run, user: user.clone(), ..SubmitTaskRequest::default() })?;
        client.wait(&task.id)?;
        let task = client.task(&task.id)?;
        let started =
            task.attempts.last().and_then(|attempt| attempt.start_time).context("it was started")?;
        #[expect(clippy::cast_precision_loss, reason = "microseconds are kept for 285 years")]
        let started = started.seconds as f64 * 1000.0 + f64::from(started.nanos) / 1e6;
        times.push(started - before.as_secs_f64() * 1000.0);
    }
    Ok(times)
}
