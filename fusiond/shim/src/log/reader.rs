//! Reading the output of one attempt, both streams in order, from any place, also while it grows.
//! Not here: waiting for more (ask again), and the format (`log`).

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use super::{ENTRY_BYTES, Entry, Stream, index_name, segment_name};

/// A place in a log: the bytes of each stream that have been passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Of standard output.
    pub out: u64,
    /// Of standard error.
    pub err: u64,
}

impl Cursor {
    /// The offset of one stream.
    pub fn of(&mut self, stream: Stream) -> &mut u64 {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }
}

/// Some bytes of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Which stream.
    pub stream: Stream,
    /// Bytes that were dropped just before these.
    pub missing_bytes: u64,
    /// The offset of the first byte in its stream.
    pub offset: u64,
    /// When they were read from the program: wall clock in milliseconds, as exact as the index.
    pub unix_ms: u64,
    /// The bytes; empty if only a gap was passed.
    pub bytes: Vec<u8>,
}

/// A place in the log of one attempt, and the way on from there.
#[derive(Debug)]
pub struct Reader {
    folder: OwnedFd,
    serial: u32,
    cursor: Cursor,
    /// What the index has said so far, in order.
    runs: Vec<Run>,
    run_next: usize,
    last_run: [Option<usize>; 2],
    index_offset: u64,
    segments: Segments,
}

/// A stretch of one stream; `end` is known when the stream comes again.
#[derive(Debug)]
struct Run {
    stream: Stream,
    unix_ms: u64,
    start: u64,
    end: Option<u64>,
}

/// The segments by base, for each stream, as the folder was when it was last changed.
#[derive(Debug, Default)]
struct Segments {
    bases: [BTreeSet<u64>; 2],
    changed: Option<(i64, u64)>,
}

impl Reader {
    /// The log of attempt `serial` in the state folder `folder`, from its start. A log without files is empty.
    #[must_use]
    pub fn new(folder: OwnedFd, serial: u32) -> Self {
        Self::at(folder, serial, Cursor::default())
    }

    /// The same, from a place that [`Reader::cursor`] told before.
    #[must_use]
    pub fn at(folder: OwnedFd, serial: u32, cursor: Cursor) -> Self {
        Self {
            folder,
            serial,
            cursor,
            runs: Vec::new(),
            run_next: 0,
            last_run: [None; 2],
            index_offset: 0,
            segments: Segments::default(),
        }
    }

    /// The place up to which pieces were returned.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Goes to a place that [`Reader::cursor`] told before.
    pub fn seek(&mut self, cursor: Cursor) {
        self.cursor = cursor;
        self.run_next = 0;
    }

    /// Goes to where at most the last `bytes` of both streams together follow, in their order.
    ///
    /// # Errors
    /// If the folder or the index cannot be read.
    pub fn seek_back(&mut self, bytes: u64) -> io::Result<()> {
        let mut cursor = self.end()?;
        self.read_index()?;
        let mut left = bytes;
        let whole = [(Stream::Out, 0), (Stream::Err, 0)];
        // What no entry announces is in no order, and read with standard output first.
        let runs = whole.into_iter().chain(self.runs.iter().map(|run| (run.stream, run.start)));
        for (stream, start) in runs.collect::<Vec<_>>().into_iter().rev() {
            let until = cursor.of(stream);
            let taken = until.saturating_sub(start).min(left);
            *until -= taken;
            left -= taken;
        }
        self.seek(cursor);
        Ok(())
    }

    /// Goes to the first byte that was read from the program at this time or later.
    ///
    /// # Errors
    /// If the folder, the index or a file cannot be read.
    pub fn seek_time(&mut self, unix_ms: u64) -> io::Result<()> {
        let mut cursor = self.end()?;
        self.read_index()?;
        let first = self.runs.iter().position(|run| run.unix_ms >= unix_ms);
        match first {
            None if self.runs.is_empty() && self.changed_unix_ms()? >= unix_ms => cursor = Cursor::default(),
            None => {}
            Some(first) => {
                for stream in Stream::ALL {
                    if let Some(run) = self.runs[first..].iter().find(|run| run.stream == stream) {
                        *cursor.of(stream) = run.start;
                    }
                }
            }
        }
        self.seek(cursor);
        Ok(())
    }

    /// The first byte of each stream that is left.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn first(&mut self) -> io::Result<Cursor> {
        self.segments.refresh(&self.folder, self.serial)?;
        let [out, err] = &self.segments.bases;
        let first = |bases: &BTreeSet<u64>| bases.first().copied().unwrap_or(0);
        Ok(Cursor { out: first(out), err: first(err) })
    }

    /// Whether a line of the stream begins at this offset, as far as its bytes are left.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn begins_line(&mut self, stream: Stream, offset: u64) -> io::Result<bool> {
        let Some(before) = offset.checked_sub(1) else { return Ok(true) };
        self.segments.refresh(&self.folder, self.serial)?;
        let mut byte = [0];
        match self.locate(stream, before) {
            Ok((0, base, file)) => {
                let count = rustix::io::pread(&file, &mut byte, before - base)?;
                Ok(count == 1 && byte == *b"\n")
            }
            Ok(_) | Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// When the newest segment was last written.
    fn changed_unix_ms(&mut self) -> io::Result<u64> {
        self.segments.refresh(&self.folder, self.serial)?;
        let mut newest = 0;
        for stream in Stream::ALL {
            let Some(base) = self.segments.bases[stream.index()].last() else { continue };
            if let Ok(stat) = statat(&self.folder, segment_name(self.serial, stream, *base), AtFlags::empty())
            {
                newest = newest.max(changed(&stat));
            }
        }
        Ok(newest)
    }

    /// The present end of the log.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn end(&mut self) -> io::Result<Cursor> {
        self.segments.refresh(&self.folder, self.serial)?;
        let mut end = Cursor::default();
        for stream in Stream::ALL {
            let last = self.segments.bases[stream.index()].last();
            let Some(base) = last else { continue };
            *end.of(stream) =
                match statat(&self.folder, segment_name(self.serial, stream, *base), AtFlags::empty()) {
                    Ok(stat) => base + u64::try_from(stat.st_size).unwrap_or(0),
                    Err(_dropped_meanwhile) => *base,
                };
        }
        Ok(end)
    }

    /// The next bytes, at most `bytes_max` of one stream; `None` if there is no more at present.
    ///
    /// # Errors
    /// If the folder or a file cannot be read.
    pub fn next(&mut self, bytes_max: usize) -> io::Result<Option<Piece>> {
        loop {
            // The end comes first: every byte before it was announced in the index before.
            let mut end = self.end()?;
            self.read_index()?;
            let Some((stream, until, unix_ms)) = self.choose(&mut end) else { return Ok(None) };
            match self.read(stream, until, unix_ms, bytes_max) {
                Err(Errno::NOENT) => self.segments.changed = None,
                Err(error) => return Err(error.into()),
                Ok(piece) => return Ok(Some(piece)),
            }
        }
    }

    /// The stream to read from, up to where, and when that was read, as far as the index says.
    fn choose(&mut self, end: &mut Cursor) -> Option<(Stream, u64, Option<u64>)> {
        while let Some(run) = self.runs.get(self.run_next) {
            let (stream, until) = (run.stream, run.end.unwrap_or(u64::MAX).min(*end.of(run.stream)));
            if *self.cursor.of(stream) < until {
                return Some((stream, until, Some(run.unix_ms)));
            }
            if run.end.is_none() && self.run_next + 1 == self.runs.len() {
                break;
            }
            self.run_next += 1;
        }
        // Without an index there is one stream; after its last entry there is no order.
        let unread = Stream::ALL.into_iter().find(|stream| *self.cursor.of(*stream) < *end.of(*stream))?;
        Some((unread, *end.of(unread), self.runs.last().map(|run| run.unix_ms)))
    }

    fn read(
        &mut self,
        stream: Stream,
        until: u64,
        unix_ms: Option<u64>,
        bytes_max: usize,
    ) -> Result<Piece, Errno> {
        let from = *self.cursor.of(stream);
        let (missing_bytes, base, file) = self.locate(stream, from)?;
        let offset = from + missing_bytes;
        let room = usize::try_from(until.saturating_sub(offset)).unwrap_or(usize::MAX).min(bytes_max);
        let mut bytes = vec![0; room];
        let count = rustix::io::pread(&file, &mut bytes, offset - base)?;
        bytes.truncate(count);
        *self.cursor.of(stream) = offset + u64::try_from(count).unwrap_or(0);
        let unix_ms = match unix_ms {
            Some(unix_ms) => unix_ms,
            None => changed(&fstat(&file)?),
        };
        Ok(Piece { stream, missing_bytes, offset, unix_ms, bytes })
    }

    /// The segment with the byte at `from`, or the next one after a gap.
    fn locate(&self, stream: Stream, from: u64) -> Result<(u64, u64, OwnedFd), Errno> {
        let bases = &self.segments.bases[stream.index()];
        let open = |base: u64| {
            openat(
                &self.folder,
                segment_name(self.serial, stream, base),
                OFlags::RDONLY | OFlags::CLOEXEC,
                Mode::empty(),
            )
        };
        if let Some(base) = bases.range(..=from).next_back() {
            let file = open(*base)?;
            if from < base + u64::try_from(fstat(&file)?.st_size).unwrap_or(0) {
                return Ok((0, *base, file));
            }
        }
        let base = bases.range(from + 1..).next().ok_or(Errno::NOENT)?;
        Ok((base - from, *base, open(*base)?))
    }

    fn read_index(&mut self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = match openat(&self.folder, index_name(self.serial), flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        let mut chunk = vec![0; 256 * ENTRY_BYTES];
        loop {
            let count = rustix::io::pread(&file, &mut chunk, self.index_offset)?;
            let whole = count - count % ENTRY_BYTES;
            for entry in chunk[..whole].chunks_exact(ENTRY_BYTES).filter_map(Entry::from_bytes) {
                self.add_run(entry);
            }
            self.index_offset += u64::try_from(whole).unwrap_or(0);
            if whole == 0 {
                return Ok(());
            }
        }
    }

    fn add_run(&mut self, entry: Entry) {
        let place = &mut self.last_run[entry.stream.index()];
        if let Some(before) = place.replace(self.runs.len()) {
            self.runs[before].end = Some(entry.offset);
        }
        let Entry { unix_ms, offset: start, stream } = entry;
        self.runs.push(Run { stream, unix_ms, start, end: None });
    }
}

impl Segments {
    /// Lists the folder again if it has changed. Its time stamp is coarse: a listing made within the same tick as the
    /// last change is not trusted for long.
    fn refresh(&mut self, folder: impl AsFd, serial: u32) -> io::Result<()> {
        let stat = fstat(&folder)?;
        let changed = (stat.st_mtime, stat.st_mtime_nsec);
        if self.changed == Some(changed) {
            return Ok(());
        }
        self.bases = Default::default();
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            if let Some((stream, base)) =
                entry.file_name().to_str().ok().and_then(|name| parse_segment(name, serial))
            {
                self.bases[stream.index()].insert(base);
            }
        }
        self.changed = is_settled(changed).then_some(changed);
        Ok(())
    }
}

/// Longer than a timer tick of any kernel.
const TICK_NS: i128 = 20_000_000;

fn is_settled((seconds, nanoseconds): (i64, u64)) -> bool {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    let now = i128::from(now.tv_sec) * 1_000_000_000 + i128::from(now.tv_nsec);
    now - (i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)) > TICK_NS
}

/// When a file was last written, in milliseconds.
fn changed(stat: &rustix::fs::Stat) -> u64 {
    u64::try_from(stat.st_mtime).unwrap_or(0) * 1000 + stat.st_mtime_nsec / 1_000_000
}

pub(super) fn parse_segment(name: &str, serial: u32) -> Option<(Stream, u64)> {
    let (number, rest) = name.split_once('.')?;
    if number.parse() != Ok(serial) {
        return None;
    }
    Stream::ALL.into_iter().find_map(|stream| match rest.strip_prefix(stream.suffix())? {
        "" => Some((stream, 0)),
        base => Some((stream, base.strip_prefix('.')?.parse().ok()?)),
    })
}
