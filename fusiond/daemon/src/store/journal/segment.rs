//! Segment files: their names, the spare one that a thread keeps ready, and dropping old ones.
//!
//! A segment is written full of zeros and synced before it is used: a later append then changes no
//! metadata, so its sync is one write to the device (writes into merely preallocated extents have to
//! change the extent tree too, which shows in the slowest percent). The file becomes `<first>.log` only
//! after its header and first record are durable, so a segment with a broken header is always damage.
//!
//! Not for: what is in records.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rustix::fs::FallocateFlags;

use crate::store::Seq;
use crate::store::space::{DATABASE_MARGIN, Reserve};

const SPARE: &str = "spare";

/// A segment on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Segment {
    /// Number of its first record, as its name says.
    pub(in crate::store) first: Seq,
    /// The file.
    pub(in crate::store) path: PathBuf,
}

/// The segments in `dir`, oldest first. Other files are ignored.
pub(in crate::store) fn list(dir: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let first = path.file_name().and_then(|n| n.to_str()).and_then(parse_name);
        segments.extend(first.map(|first| Segment { first, path }));
    }
    segments.sort_by_key(|s| s.first);
    Ok(segments)
}

fn parse_name(name: &str) -> Option<Seq> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

pub(super) fn name(first: Seq) -> String {
    format!("{first:020}.log")
}

/// Removes the segments whose every record is at or below `covered`. The newest always stays.
pub(in crate::store) fn drop_covered(dir: &Path, covered: Seq) -> io::Result<usize> {
    let segments = list(dir)?;
    let mut dropped = 0;
    for pair in segments.windows(2).take_while(|pair| pair[1].first <= covered + 1) {
        fs::remove_file(&pair[0].path)?;
        dropped += 1;
    }
    if dropped > 0 {
        File::open(dir)?.sync_all()?;
    }
    Ok(dropped)
}

/// A zeroed, synced file that is no segment yet.
#[derive(Debug)]
pub(super) struct Spare {
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) path: PathBuf,
}

enum Order {
    Spare(u64),
    Reserve,
}

/// Keeps one spare segment ready, in a thread of its own that sleeps while there is one.
pub(super) struct Spares {
    orders: Option<SyncSender<Order>>,
    ready: Receiver<io::Result<Spare>>,
    ordered: bool,
    size: u64,
    thread: Option<JoinHandle<()>>,
}

impl Spares {
    /// Starts the thread and orders the first spare of `size` bytes.
    pub(super) fn start(dir: PathBuf, size: u64, reserve: Arc<Reserve>) -> io::Result<Spares> {
        // One order at a time, and its answer.
        let (orders, inbox) = sync_channel(1);
        let (outbox, ready) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("store-segment".to_owned())
            .spawn(move || prepare(&dir, &reserve, &inbox, &outbox))?;
        let mut spares = Spares { orders: Some(orders), ready, ordered: false, size, thread: Some(thread) };
        spares.order(size)?;
        Ok(spares)
    }

    /// The spare, of at least `need` bytes; waits for it. The next one is ordered at once.
    pub(super) fn take(&mut self, need: u64) -> io::Result<Spare> {
        if !self.ordered {
            self.order(need.max(self.size))?;
        }
        let mut spare = self.receive()?;
        if spare.size < need {
            self.order(need)?;
            spare = self.receive()?;
        }
        Ok(spare)
    }

    /// Orders the next spare. Called once the last one has its final name.
    pub(super) fn order_next(&mut self) -> io::Result<()> {
        if self.ordered { Ok(()) } else { self.order(self.size) }
    }

    /// Asks for the reserve to be made again.
    pub(super) fn order_reserve(&self) {
        // A thread that is gone shows at the next spare; the reserve alone is no reason to fail.
        self.send(Order::Reserve).unwrap_or_default();
    }

    fn order(&mut self, size: u64) -> io::Result<()> {
        self.send(Order::Spare(size))?;
        self.ordered = true;
        Ok(())
    }

    fn send(&self, order: Order) -> io::Result<()> {
        let orders = self.orders.as_ref().expect("orders are taken only by drop");
        orders.send(order).map_err(|_| io::Error::other("the store-segment thread is gone"))
    }

    fn receive(&mut self) -> io::Result<Spare> {
        self.ordered = false;
        self.ready.recv().map_err(|_| io::Error::other("the store-segment thread is gone"))?
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap_or_default();
        }
    }
}

fn prepare(dir: &Path, reserve: &Reserve, inbox: &Receiver<Order>, outbox: &SyncSender<io::Result<Spare>>) {
    for order in inbox {
        let Order::Spare(size) = order else {
            reserve.refill();
            continue;
        };
        if outbox.send(make_spare(dir, size, reserve)).is_err() {
            return;
        }
        reserve.refill();
    }
}

fn make_spare(dir: &Path, size: u64, reserve: &Reserve) -> io::Result<Spare> {
    let path = dir.join(SPARE);
    if reserve.free_bytes() < size + DATABASE_MARGIN {
        return Err(rustix::io::Errno::NOSPC.into());
    }
    let made = fill(&path, size);
    if made.is_err() {
        // What is left of it only takes space; that it cannot be removed changes nothing.
        fs::remove_file(&path).unwrap_or_default();
    }
    Ok(Spare { file: made?, size, path })
}

fn fill(path: &Path, size: u64) -> io::Result<File> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, size) {
        // File systems without it (some network and FUSE ones) get the zeros below all the same.
        Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
        Err(errno) => return Err(errno.into()),
    }
    let zeros = vec![0; 1 << 20];
    let mut at = 0;
    while at < size {
        let n = (size - at).min(zeros.len() as u64);
        file.write_all_at(&zeros[..n as usize], at)?;
        at += n;
    }
    file.sync_all()?;
    Ok(file)
}
