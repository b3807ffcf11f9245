//! The process killed, the power cut: what was acknowledged is there, and the state is exactly that of some
//! record.
//!
//! A child commits record after record, each a function of its number alone, and says each number once it is
//! acknowledged. After the cut the whole state is compared with what that many records make.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use super::*;

/// Kills in the quick profile; `FUSION_KILLS` asks for more.
const KILLS: u64 = 20;
/// Power cuts in the quick profile; `FUSION_POWER_CUTS` asks for more.
const POWER_CUTS: u64 = 8;

fn wanted(variable: &str, quick: u64) -> u64 {
    std::env::var(variable).ok().and_then(|n| n.parse().ok()).unwrap_or(quick)
}

/// Everything small, so that a short life sees segments end, flushes and checkpoints.
fn busy(dir: &Path) -> Config {
    Config {
        segment_bytes: 32 << 10,
        flush_interval: Duration::from_millis(5),
        checkpoint_bytes: 100 << 10,
        ..config(dir)
    }
}

/// What record `n` does.
fn changes(n: u64, mut each: impl FnMut(String, Option<Vec<u8>>)) {
    let mut random = Random(n);
    let body = vec![n as u8; random.below(400) as usize];
    each(format!("task/{:03}", random.below(300)), Some(body));
    each(format!("task/{:03}", random.below(300)), None);
    each(format!("event/{:04}", n % 2000), Some(n.to_le_bytes().to_vec()));
}

#[test]
fn writer_child() {
    let Some(dir) = child_argument() else { return };
    let (mut store, _) = Store::open(busy(&dir)).expect("it opens");
    let mut said = std::io::stderr();
    loop {
        let mut batch = Batch::new();
        changes(store.seq() + 1, |key, new| match new {
            Some(body) => batch.put(key.as_bytes(), &body),
            None => batch.delete(key.as_bytes()),
        });
        let seq = store.commit(&mut batch).expect("it commits");
        writeln!(said, "ack {seq}").expect("the parent listens");
    }
}

/// A writer whose acknowledgements are read.
struct Writer {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    acked: u64,
}

impl Writer {
    fn start(dir: &Path) -> Writer {
        let mut child = Command::new("/proc/self/exe");
        child.args(child_args("cuts::writer_child")).arg(dir).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = child.spawn().expect("it starts");
        let said = BufReader::new(child.stderr.take().expect("it is piped"));
        Writer { child, said, acked: 0 }
    }

    /// Reads one acknowledgement; `false` at the end.
    fn hear(&mut self) -> bool {
        let mut line = String::new();
        let heard = self.said.read_line(&mut line).expect("it reads") > 0;
        // The last line may be cut short by the kill; its record was acknowledged all the same.
        if let Some(n) = line.strip_suffix('\n').and_then(|l| l.strip_prefix("ack ")) {
            self.acked = n.parse().expect("a number");
        } else if heard && line.ends_with('\n') {
            let mut rest = String::new();
            self.said.read_to_string(&mut rest).expect("it reads");
            panic!("the writer said: {line}{rest}");
        }
        heard
    }

    /// Returns once every thread of it stands still.
    #[expect(clippy::disallowed_methods, reason = "a child that is not waited for keeps its pid")]
    fn stop(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).expect("it is there");
        waitpid(Some(pid), WaitOptions::UNTRACED).expect("it stops");
    }

    /// Kills it; returns the last number that it acknowledged.
    fn kill(mut self) -> u64 {
        self.child.kill().expect("it is there");
        while self.hear() {}
        self.child.wait().expect("it ends");
        self.acked
    }
}

fn check(dir: &Path, acked: u64) -> (u64, bool) {
    let (store, opened) = Store::open(busy(dir)).unwrap_or_else(|e| panic!("after record {acked}: {e}"));
    assert!(opened.seq >= acked, "acknowledged {acked}, found {opened:?}");
    assert!(opened.journal_set_aside.is_none(), "{opened:?}");
    let mut expected = BTreeMap::new();
    for n in 1..=opened.seq {
        changes(n, |key, new| match new {
            Some(body) => drop(expected.insert(key, body)),
            None => drop(expected.remove(&key)),
        });
    }
    assert!(contents(&store) == expected.into_iter().collect::<Vec<_>>(), "wrong contents: {opened:?}");
    (opened.seq, opened.rebuilt.is_some())
}

#[test]
fn a_kill_at_any_moment_loses_nothing_acknowledged() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut random = Random(1);
    for round in 0..wanted("FUSION_KILLS", KILLS) {
        let mut writer = Writer::start(dir.path());
        let acks = if round % 4 == 3 { 0 } else { random.below(800) };
        for _ in 0..acks {
            assert!(writer.hear(), "the writer goes on");
        }
        let acked = writer.kill();
        let (_, rebuilt) = check(dir.path(), acked);
        assert!(!rebuilt, "a kill does not harm the database");
    }
}

/// A loop device with ext4 on memory; gone at the end.
struct Disk {
    image: PathBuf,
    device: String,
    mounted: Option<Mounted>,
}

impl Disk {
    fn new() -> Disk {
        let image = PathBuf::from(format!("/dev/shm/fusion-store-{}.img", std::process::id()));
        fs::File::create(&image).and_then(|f| f.set_len(128 << 20)).expect("it is made");
        let device = run("losetup", &["-f".as_ref(), "--show".as_ref(), image.as_os_str()]);
        let mut disk = Disk { image, device, mounted: None };
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), disk.device.as_ref()]);
        disk.mounted = Some(Mounted::new(&[&disk.device]));
        disk
    }

    fn mounted(&self) -> &Mounted {
        self.mounted.as_ref().expect("it is mounted in new")
    }

    /// From this moment the file system writes nothing more: EXT4_IOC_SHUTDOWN, flag 2 (no log flush).
    fn cut_power(&self) {
        let script = "open(F, '<', $ARGV[0]) or die $!; my $flag = pack('I', 2); ioctl(F, 0x8004587d, $flag) or die $!";
        run("perl", &["-e".as_ref(), script.as_ref(), self.mounted().path().as_os_str()]);
    }

    fn restore_power(&self) {
        self.mounted().unmount();
        self.mounted().mount(&[&self.device]);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.mounted.take());
        let detached = Command::new("losetup").args(["-d", &self.device]).status();
        assert!(
            detached.is_ok_and(|s| s.success()) && fs::remove_file(&self.image).is_ok(),
            "{} stays",
            self.device
        );
    }
}

#[test]
fn a_power_cut_at_any_moment_loses_nothing_acknowledged() {
    let disk = Disk::new();
    let state = disk.mounted().path().join("state");
    let mut random = Random(2);
    for _ in 0..wanted("FUSION_POWER_CUTS", POWER_CUTS) {
        let mut writer = Writer::start(&state);
        for _ in 0..=random.below(1500) {
            assert!(writer.hear(), "the writer goes on");
        }
        // What is acknowledged from here on is read too: stopped, it acknowledges nothing after the cut.
        writer.stop();
        disk.cut_power();
        let acked = writer.kill();
        disk.restore_power();
        check(&state, acked);
    }
}
