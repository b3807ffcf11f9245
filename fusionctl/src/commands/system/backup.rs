//! `system backup`: a consistent copy of the state, written to a file.
//!
//! The file appears under its name only when it is whole and on disk.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use fusion_proto::v1::BackupRequest;
use serde::Serialize;

use crate::client::Link;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::units::format_size;

const AFTER: &str = "\
Example:
  fusionctl system backup /var/backups/fusiond.backup";

/// Arguments of `system backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Where to write it; an older file of this name is replaced
    file: PathBuf,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    file: String,
    bytes: u64,
}

/// Streams to `FILE.tmp`, syncs, and renames.
pub(crate) async fn run(mut session: Session, args: Args) -> Result<Exit, Stop> {
    let link = session.link().await?;
    let name = args.file.display().to_string();
    let unwritable = |error: io::Error| Stop::from(Complaint::unwritable(&name, &error));
    let draft = draft_of(&args.file);
    let mut file = create(&draft).map_err(unwritable)?;
    let written = match receive(&link, &mut file, &name).await {
        Ok(bytes) => publish(&file, &draft, &args.file).map(|()| bytes).map_err(unwritable),
        Err(stop) => Err(stop),
    };
    let bytes = written.inspect_err(|_| {
        // The complaint under way says more than a draft that stays behind.
        drop(std::fs::remove_file(&draft));
    })?;
    let written = Written { file: name, bytes };
    if session.out.is_quiet() {
        return Ok(Exit::Done);
    }
    session.out.document(&written, |out| out.line(&format!("{} ({})", written.file, format_size(bytes))))?;
    Ok(Exit::Done)
}

fn draft_of(file: &Path) -> PathBuf {
    let mut name = OsString::from(file);
    name.push(".tmp");
    name.into()
}

/// A new file of our own: what an earlier run left behind goes, and no link is followed.
fn create(draft: &Path) -> io::Result<File> {
    match std::fs::remove_file(draft) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)
}

async fn receive(link: &Link, file: &mut File, name: &str) -> Result<u64, Stop> {
    let mut stream = link.system().backup(BackupRequest {}).await?.into_inner();
    let mut bytes = 0;
    while let Some(chunk) = stream.message().await? {
        file.write_all(&chunk.data).map_err(|error| Complaint::unwritable(name, &error))?;
        bytes += chunk.data.len() as u64;
    }
    Ok(bytes)
}

fn publish(file: &File, draft: &Path, target: &Path) -> io::Result<()> {
    file.sync_all()?;
    std::fs::rename(draft, target)?;
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_backup_is_private_and_appears_whole() {
        let folder = std::env::temp_dir().join(format!("fusionctl-backup-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let target = folder.join("b");
        let draft = draft_of(&target);
        std::fs::write(&draft, "left behind").unwrap();
        let mut file = create(&draft).unwrap();
        file.write_all(b"new").unwrap();
        assert!(!target.exists());
        publish(&file, &draft, &target).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!draft.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
