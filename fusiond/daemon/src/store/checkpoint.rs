//! Checkpoint and backup files: a logical export of everything at one record, in a format of our own.
//!
//! ```text
//! header  = magic 8 | format u32 | schema u32 | seq u64 | entries u64 | sum u64 | crc u32
//! entry   = key length u16 | value length u32 | key | value            (value as in value.rs)
//! trailer = SHA-256 of everything before it
//! ```
//! Little-endian. Written beside its place, synced, renamed, folder synced: a file with the final name is
//! whole. Not for: when one is made.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::{BackupError, OpenError, backup_error, io_error};
use super::tree::Tree;
use super::value::{self, Census};
use super::{Backup, KEY_BYTES_MAX, RECORD_BYTES_MAX, Seq};

const MAGIC: &[u8; 8] = b"FUSCKPT1";
const FORMAT: u32 = 1;
const HEADER: usize = 44;

/// What stands at the beginning of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) schema: u32,
    pub(super) census: Census,
}

/// The checkpoints in `dir`, newest first, by their names.
pub(super) fn list(dir: &Path) -> io::Result<Vec<(Seq, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let seq = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".ckpt"));
        found.extend(seq.and_then(|s| s.parse().ok()).map(|seq| (seq, path)));
    }
    found.sort_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    Ok(found)
}

/// Where the checkpoint at `seq` is kept.
pub(super) fn path(dir: &Path, seq: Seq) -> PathBuf {
    dir.join(format!("{seq:020}.ckpt"))
}

/// Removes all but the newest `kept`; returns the record of the oldest that stays.
pub(super) fn prune(dir: &Path, kept: usize) -> io::Result<Option<Seq>> {
    let all = list(dir)?;
    let (stay, go) = all.split_at(all.len().min(kept.max(1)));
    for (_, path) in go {
        fs::remove_file(path)?;
    }
    Ok(stay.last().map(|(seq, _)| *seq))
}

/// Writes all of `tree` to `to`, durably, replacing what is there.
///
/// # Errors
/// [`BackupError::Inconsistent`] if the database does not hold what was counted.
pub(super) fn write_tree(tree: &Tree, to: &Path) -> Result<Backup, BackupError> {
    let schema = tree.schema().map_err(backup_error("read the database for", to))?;
    write(tree.entries(), Header { schema, census: tree.census() }, to)
}

/// As [`write_tree`], for any entries in key order.
pub(super) fn write<K, V>(
    entries: impl Iterator<Item = io::Result<(K, V)>>,
    header: Header,
    to: &Path,
) -> Result<Backup, BackupError>
where
    K: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let part = to.with_file_name(format!(".{name}.part"));
    let written = write_part(entries, header, &part).and_then(|backup| {
        fs::rename(&part, to).map_err(backup_error("rename to", to))?;
        let folder = to.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(backup_error("sync", folder))?;
        Ok(backup)
    });
    if written.is_err() {
        // The part file is not there after a rename; otherwise it only takes space.
        fs::remove_file(&part).unwrap_or_default();
    }
    written
}

fn write_part<K, V>(
    entries: impl Iterator<Item = io::Result<(K, V)>>,
    header: Header,
    part: &Path,
) -> Result<Backup, BackupError>
where
    K: AsRef<[u8]>,
    V: AsRef<[u8]>,
{
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part);
    let file = file.map_err(backup_error("create", part))?;
    let mut out = Out { inner: BufWriter::with_capacity(1 << 18, file), sum: Sha256::new(), bytes: 0 };
    out.put(&header_bytes(header)).map_err(backup_error("write", part))?;
    let mut found = Census { seq: header.census.seq, ..Census::default() };
    for entry in entries {
        let (key, value) = entry.map_err(backup_error("read the database for", part))?;
        let (key, value) = (key.as_ref(), value.as_ref());
        if value::decode(key, value).is_none() {
            let reason = format!("the value under {:?} is corrupt", String::from_utf8_lossy(key));
            return Err(BackupError::Inconsistent { reason });
        }
        found.add(value);
        out.put_entry(key, value).map_err(backup_error("write", part))?;
    }
    if found != header.census {
        let reason = format!("{} entries are there, {} were counted", found.entries, header.census.entries);
        return Err(BackupError::Inconsistent { reason });
    }
    let bytes = out.finish().map_err(backup_error("write", part))?;
    Ok(Backup { seq: found.seq, entries: found.entries, bytes })
}

struct Out {
    inner: BufWriter<File>,
    sum: Sha256,
    bytes: u64,
}

impl Out {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.update(bytes);
        self.bytes += bytes.len() as u64;
        self.inner.write_all(bytes)
    }

    fn put_entry(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        self.put(&(key.len() as u16).to_le_bytes())?;
        self.put(&(value.len() as u32).to_le_bytes())?;
        self.put(key)?;
        self.put(value)
    }

    fn finish(mut self) -> io::Result<u64> {
        let sum = self.sum.finalize();
        self.inner.write_all(&sum)?;
        let file = self.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        Ok(self.bytes + sum.len() as u64)
    }
}

fn header_bytes(header: Header) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0..8].copy_from_slice(MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    bytes[12..16].copy_from_slice(&header.schema.to_le_bytes());
    bytes[16..24].copy_from_slice(&header.census.seq.to_le_bytes());
    bytes[24..32].copy_from_slice(&header.census.entries.to_le_bytes());
    bytes[32..40].copy_from_slice(&header.census.sum.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..40]);
    bytes[40..44].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn parse_header(bytes: &[u8; HEADER]) -> Result<Header, String> {
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes were sliced"));
    let half = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes were sliced"));
    if &bytes[..8] != MAGIC {
        return Err("it is no checkpoint".to_owned());
    }
    if half(8) != FORMAT {
        return Err(format!("its format is {}, this program knows {FORMAT}", half(8)));
    }
    if crc32fast::hash(&bytes[..40]) != half(40) {
        return Err("its header is broken".to_owned());
    }
    let census = Census { seq: word(16), entries: word(24), sum: word(32) };
    Ok(Header { schema: half(12), census })
}

/// Reads the header alone.
pub(super) fn read_header(path: &Path) -> Result<Header, OpenError> {
    let mut bytes = [0; HEADER];
    let mut file = File::open(path).map_err(io_error("open", path))?;
    let read = file.read_exact(&mut bytes).map_err(|_| "it is cut short".to_owned());
    read.and_then(|()| parse_header(&bytes)).map_err(bad(path))
}

/// Reads and checks everything; calls `each(key, encoded value)` on the way, before the end is checked: an
/// error at the end means that what was handed out must not be used.
pub(super) fn read<F>(path: &Path, mut each: F) -> Result<(Header, u64), OpenError>
where
    F: FnMut(&[u8], &[u8]) -> Result<(), OpenError>,
{
    let file = File::open(path).map_err(io_error("open", path))?;
    let mut input = In { inner: BufReader::with_capacity(1 << 18, file), sum: Sha256::new(), bytes: 0 };
    let mut header = [0; HEADER];
    input.take(&mut header).map_err(bad(path))?;
    let header = parse_header(&header).map_err(bad(path))?;
    let mut found = Census { seq: header.census.seq, ..Census::default() };
    let (mut key, mut value) = (Vec::new(), Vec::new());
    for _ in 0..header.census.entries {
        input.entry(&mut key, &mut value).map_err(bad(path))?;
        if value::decode(&key, &value).is_none() {
            let reason = format!("the value under {:?} is corrupt", String::from_utf8_lossy(&key));
            return Err(bad(path)(reason));
        }
        found.add(&value);
        each(&key, &value)?;
    }
    if found != header.census {
        return Err(bad(path)("its entries are not those that its header counts".to_owned()));
    }
    let bytes = input.finish().map_err(bad(path))?;
    Ok((header, bytes))
}

struct In {
    inner: BufReader<File>,
    sum: Sha256,
    bytes: u64,
}

impl In {
    fn take(&mut self, out: &mut [u8]) -> Result<(), String> {
        self.inner.read_exact(out).map_err(|e| match e.kind() == io::ErrorKind::UnexpectedEof {
            true => "it is cut short".to_owned(),
            false => e.to_string(),
        })?;
        self.sum.update(&*out);
        self.bytes += out.len() as u64;
        Ok(())
    }

    fn entry(&mut self, key: &mut Vec<u8>, value: &mut Vec<u8>) -> Result<(), String> {
        let mut lengths = [0; 6];
        self.take(&mut lengths)?;
        let key_len = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
        let value_len = u32::from_le_bytes([lengths[2], lengths[3], lengths[4], lengths[5]]) as usize;
        if key_len == 0 || key_len > KEY_BYTES_MAX || value_len > RECORD_BYTES_MAX + 16 {
            return Err(format!("an entry of {key_len} and {value_len} bytes"));
        }
        key.resize(key_len, 0);
        value.resize(value_len, 0);
        self.take(key)?;
        self.take(value)
    }

    fn finish(mut self) -> Result<u64, String> {
        let expected = self.sum.finalize();
        let mut trailer = Vec::new();
        self.inner.read_to_end(&mut trailer).map_err(|e| e.to_string())?;
        match trailer == expected[..] {
            true => Ok(self.bytes + trailer.len() as u64),
            false => Err("its SHA-256 is wrong".to_owned()),
        }
    }
}

fn bad(path: &Path) -> impl Fn(String) -> OpenError {
    let path = path.to_owned();
    move |reason| OpenError::BadCheckpoint { path: path.clone(), reason }
}
