//! The load: five submits a second, each with a key, repeated until accepted, whatever happens to the daemon.

use std::collections::BTreeMap;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use fusion_tests::Ctl;

use super::Dice;

/// So many wait at the beginning, so that every agent has work from the first kill on.
const AT_ONCE: u64 = 40;

/// Between two submits.
const PAUSE: Duration = Duration::from_millis(200);

/// One task as it was asked for: all that it will do is known.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// The id that the daemon answered.
    pub(crate) id: String,
    pub(crate) seed: u64,
    pub(crate) bytes: usize,
    pub(crate) code: u64,
}

/// A thread that submits.
pub(crate) struct Load {
    stop: SyncSender<()>,
    thread: JoinHandle<BTreeMap<String, Work>>,
}

impl Load {
    /// Starts submitting tasks that write into the ledger at `ledger`.
    pub(crate) fn start(ctl: Ctl, ledger: String, seed: u64) -> Self {
        let (stop, stopped) = sync_channel(1);
        let thread = std::thread::spawn(move || {
            let mut dice = Dice(seed ^ 0x5eed);
            let mut works = BTreeMap::new();
            for number in 0.. {
                let key = format!("k{number}");
                let work = submit(&ctl, &key, &ledger, &mut dice);
                works.insert(key, work);
                let pause = if number < AT_ONCE { Duration::ZERO } else { PAUSE };
                match stopped.recv_timeout(pause) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            works
        });
        Self { stop, thread }
    }

    /// Stops submitting; answers all that was accepted, by key.
    pub(crate) fn stop(self) -> BTreeMap<String, Work> {
        // It cannot have ended before, and one word fits the channel.
        self.stop.send(()).expect("the submitter listens until it is stopped");
        self.thread.join().expect("the submitter does not panic")
    }
}

/// Submits until accepted: the key makes repeating harmless.
fn submit(ctl: &Ctl, key: &str, ledger: &str, dice: &mut Dice) -> Work {
    let seed = dice.between(1, 1_000_000);
    let half = usize::try_from(dice.between(1_000, 100_000)).expect("it is small");
    let (time, code) = (dice.between(500, 4_000), dice.between(0, 2));
    let script =
        format!("ledger {ledger}\nflood {half} {seed}\nnap {time}\nflood {half} {seed}\nexit {code}");
    loop {
        let done = ctl.run(&["-q", "task", "submit", "--key", key, &script]);
        if done.code == 0 {
            return Work { id: done.stdout.trim().to_owned(), seed, bytes: half, code };
        }
        assert!(done.code == 6, "a submit was refused: {done}");
    }
}
