//! Writing the output of one attempt: segments, quota, order, tail. It never fails and never waits for room: what
//! cannot be kept is counted. Not here: the format (`log`).

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use super::{
    ENTRY_BYTES, Entry, INDEX_BYTES_MAX, RESOLUTION_MS, RESOLUTION_STEP_BYTES, Stream, index_name,
    segment_name,
};
use crate::wire::TAIL_BYTES_MAX;

/// The log of one attempt.
#[derive(Debug)]
pub struct Writer {
    serial: u32,
    segment_bytes: u64,
    quota_bytes: u64,
    streams: [StreamLog; 2],
    closed: VecDeque<Segment>,
    kept_bytes: u64,
    dropped_bytes: u64,
    index: Index,
}

#[derive(Debug, Default)]
struct StreamLog {
    /// Bytes written by the program so far.
    offset: u64,
    open: Option<OpenSegment>,
    /// Until when no new segment is tried, after the disk has refused one.
    refused_until_ms: u64,
    tail: Vec<u8>,
}

#[derive(Debug)]
struct OpenSegment {
    file: OwnedFd,
    base: u64,
    length: u64,
}

#[derive(Debug)]
struct Segment {
    stream: Stream,
    base: u64,
    length: u64,
}

#[derive(Debug, Default)]
struct Index {
    file: Option<OwnedFd>,
    length: u64,
    first: Option<Entry>,
    current: Option<Stream>,
    /// The time of the last entry.
    noted_ms: u64,
    stopped: bool,
}

/// How long a full disk is left alone.
const REFUSED_MS: u64 = 1000;

/// Four segments at least fit in a quota, so that dropping one does not drop nearly all.
const SEGMENTS_PER_QUOTA: u64 = 4;

/// Below this a segment is not worth its file.
const SEGMENT_BYTES_MIN: u64 = 4096;

impl Writer {
    /// A log without a file. Up to `quota_bytes` of both streams together are kept, in segments of `segment_bytes`
    /// or a quarter of the quota.
    #[must_use]
    pub fn new(serial: u32, segment_bytes: u64, quota_bytes: u64) -> Self {
        let segment_bytes = segment_bytes.min(quota_bytes / SEGMENTS_PER_QUOTA).max(SEGMENT_BYTES_MIN);
        Self {
            serial,
            segment_bytes,
            quota_bytes,
            streams: [StreamLog::default(), StreamLog::default()],
            closed: VecDeque::new(),
            kept_bytes: 0,
            dropped_bytes: 0,
            index: Index::default(),
        }
    }

    /// Appends what a stream has brought, to files in `folder`.
    pub fn append(&mut self, folder: impl AsFd, stream: Stream, bytes: &[u8], now_unix_ms: u64) {
        if bytes.is_empty() {
            return;
        }
        let log = &mut self.streams[stream.index()];
        log.keep_tail(bytes);
        self.index.note(&folder, self.serial, Entry { unix_ms: now_unix_ms, offset: log.offset, stream });
        let mut rest = bytes;
        while !rest.is_empty() {
            match self.append_some(&folder, stream, rest, now_unix_ms) {
                Ok(count) => rest = &rest[count..],
                Err(_full) => {
                    self.drop_bytes(folder, stream, rest, now_unix_ms);
                    return;
                }
            }
            self.make_room(&folder);
        }
    }

    /// Bytes that a stream has brought, kept or not.
    #[must_use]
    pub fn bytes(&self, stream: Stream) -> u64 {
        self.streams[stream.index()].offset
    }

    /// Bytes of both streams that are not in the files.
    #[must_use]
    pub fn dropped_bytes(&self) -> u64 {
        self.dropped_bytes
    }

    /// The last bytes of standard error, or of standard output if there was none.
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        let [out, err] = &self.streams;
        if err.tail.is_empty() { &out.tail } else { &err.tail }
    }

    fn append_some(
        &mut self,
        folder: impl AsFd,
        stream: Stream,
        bytes: &[u8],
        now_ms: u64,
    ) -> Result<usize, Errno> {
        let log = &mut self.streams[stream.index()];
        if let Some(full) = log.open.take_if(|segment| segment.length >= self.segment_bytes) {
            self.closed.push_back(Segment { stream, base: full.base, length: full.length });
        }
        if log.open.is_none() {
            log.open = Some(open_segment(folder, self.serial, stream, log, now_ms)?);
        }
        let segment = log.open.as_mut().expect("opened just before");
        let room = usize::try_from(self.segment_bytes - segment.length).unwrap_or(usize::MAX);
        let count = match rustix::io::write(&segment.file, &bytes[..bytes.len().min(room)]) {
            Ok(0) => return Err(Errno::NOSPC),
            Err(Errno::INTR) => 0,
            other => other?,
        };
        let written = u64::try_from(count).unwrap_or(0);
        segment.length += written;
        log.offset += written;
        self.kept_bytes += written;
        Ok(count)
    }

    /// Passes over bytes that have no room. The next ones begin a segment of their own, whose base shows the gap.
    fn drop_bytes(&mut self, folder: impl AsFd, stream: Stream, bytes: &[u8], now_ms: u64) {
        let log = &mut self.streams[stream.index()];
        let count = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        log.offset += count;
        self.dropped_bytes += count;
        if now_ms >= log.refused_until_ms {
            log.refused_until_ms = now_ms + REFUSED_MS;
        }
        match log.open.take() {
            Some(segment) if segment.length == 0 => remove(folder, self.serial, stream, segment.base),
            Some(segment) => {
                self.closed.push_back(Segment { stream, base: segment.base, length: segment.length });
            }
            None => {}
        }
    }

    fn make_room(&mut self, folder: impl AsFd) {
        while self.kept_bytes > self.quota_bytes {
            let Some(oldest) = self.closed.pop_front() else { return };
            remove(&folder, self.serial, oldest.stream, oldest.base);
            self.kept_bytes -= oldest.length;
            self.dropped_bytes += oldest.length;
        }
    }
}

impl StreamLog {
    fn keep_tail(&mut self, bytes: &[u8]) {
        let fresh = &bytes[bytes.len().saturating_sub(TAIL_BYTES_MAX)..];
        let old = self.tail.len().min(TAIL_BYTES_MAX - fresh.len());
        self.tail.drain(..self.tail.len() - old);
        self.tail.extend_from_slice(fresh);
    }
}

fn open_segment(
    folder: impl AsFd,
    serial: u32,
    stream: Stream,
    log: &StreamLog,
    now_ms: u64,
) -> Result<OpenSegment, Errno> {
    if now_ms < log.refused_until_ms {
        return Err(Errno::NOSPC);
    }
    let file = create(folder, &segment_name(serial, stream, log.offset))?;
    Ok(OpenSegment { file, base: log.offset, length: 0 })
}

fn create(folder: impl AsFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    openat(folder, name, flags, Mode::RUSR | Mode::WUSR)
}

fn remove(folder: impl AsFd, serial: u32, stream: Stream, base: u64) {
    // Gone already: somebody tidied the folder, and the bytes are dropped all the same.
    let _gone = unlinkat(folder, segment_name(serial, stream, base), AtFlags::empty());
}

impl Index {
    /// Takes note of bytes about to be written; writes an entry where the stream changes or time has passed.
    fn note(&mut self, folder: impl AsFd, serial: u32, entry: Entry) {
        let before = self.current.replace(entry.stream);
        let Some(first) = self.first else {
            self.first = Some(entry);
            self.noted_ms = entry.unix_ms;
            return;
        };
        let is_same =
            before == Some(entry.stream) && entry.unix_ms.abs_diff(self.noted_ms) < self.resolution_ms();
        if is_same || self.stopped {
            return;
        }
        self.noted_ms = entry.unix_ms;
        if let Err(_full) = self.write(folder, serial, first, entry) {
            self.stopped = true;
        }
    }

    fn resolution_ms(&self) -> u64 {
        RESOLUTION_MS << (self.length / RESOLUTION_STEP_BYTES)
    }

    fn write(&mut self, folder: impl AsFd, serial: u32, first: Entry, entry: Entry) -> std::io::Result<()> {
        if self.file.is_none() {
            let file = create(folder, &index_name(serial))?;
            fusion_sys::file::write_all(&file, &first.to_bytes())?;
            self.file = Some(file);
        }
        if self.length >= INDEX_BYTES_MAX {
            return Err(Errno::FBIG.into());
        }
        self.length += u64::try_from(ENTRY_BYTES).unwrap_or(0);
        fusion_sys::file::write_all(self.file.as_ref().expect("opened just before"), &entry.to_bytes())
    }
}
