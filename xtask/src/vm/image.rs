//! The machine's disk: a Debian made once by mmdebstrap, kept outside the checkout under a name that follows from all that
//! goes into it. Not here: what runs on it.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Kind;
use crate::shell;

const SUITE: &str = "bookworm";
/// What any machine with fusiond has, and what stories look at it with.
const PACKAGES: &str =
    "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps,passwd,git,jq,perl-base,rpm";
/// What only a machine with a kernel of its own needs.
const KERNEL: &str = "linux-image-cloud-amd64";
/// Starts the stories once everything else is up.
const UNIT: &str = "\
[Unit]
Description=Stories of fusiond
After=multi-user.target dbus.service systemd-user-sessions.service
Wants=dbus.service
FailureAction=poweroff

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'mkdir -p /vm; test -e /vm/run || tar -xf /dev/vdb -C /vm; exec /vm/run'
TimeoutStartSec=infinity
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=default.target
";

/// A root file system as a folder, and for qemu also as a disk beside kernel and first ramdisk.
pub(super) struct Image {
    folder: PathBuf,
}

impl Image {
    /// The root as a folder.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The root as a disk of ext4.
    pub(super) fn disk(&self) -> PathBuf {
        self.folder.join("disk.img")
    }

    /// Kernel and first ramdisk.
    pub(super) fn boot(&self) -> [PathBuf; 2] {
        ["vmlinuz", "initrd.img"].map(|name| self.root().join(name))
    }
}

/// The image that is there, or a new one.
///
/// # Errors
///
/// When a tool or the network is missing.
pub(super) fn cached(kind: Kind) -> anyhow::Result<Image> {
    let packages = match kind {
        Kind::Full | Kind::Accelerated => format!("{PACKAGES},{KERNEL}"),
        Kind::Quick => PACKAGES.to_owned(),
    };
    let mut inputs = DefaultHasher::new();
    (SUITE, &packages, UNIT).hash(&mut inputs);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = cache.or_else(home).context("HOME is not set")?.join("fusiond");
    let folder = cache.join(format!("vm-{:016x}", inputs.finish()));
    let image = Image { folder: folder.clone() };
    if folder.is_dir() {
        return Ok(image);
    }
    // It has its name only when it is whole.
    let draft =
        tempfile::Builder::new().prefix("vm-draft-").tempdir_in(made(&cache)?).context("a draft folder")?;
    make(&Image { folder: draft.path().to_owned() }, kind, &packages)?;
    std::fs::rename(draft.keep(), &folder).with_context(|| format!("keeping {}", folder.display()))?;
    Ok(image)
}

fn made(folder: &Path) -> anyhow::Result<&Path> {
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    Ok(folder)
}

fn make(image: &Image, kind: Kind, packages: &str) -> anyhow::Result<()> {
    shell::need("mmdebstrap", "mmdebstrap")?;
    let root = image.root();
    let include = format!("--include={packages}");
    let args = ["--quiet", "--mode=root", "--variant=minbase", &include, SUITE, &root.to_string_lossy()];
    shell::run_with("mmdebstrap", &args, &[("TMPDIR", &image.folder.to_string_lossy())])?;
    let units = root.join("etc/systemd/system");
    std::fs::write(units.join("fusion-stories.service"), UNIT)?;
    let wants = made(&units.join("default.target.wants"))?.join("fusion-stories.service");
    std::os::unix::fs::symlink("../fusion-stories.service", wants)?;
    if kind != Kind::Quick {
        shell::need("mke2fs", "e2fsprogs")?;
        let (disk, root) = (image.disk(), root.to_string_lossy().into_owned());
        shell::run("mke2fs", &["-q", "-t", "ext4", "-d", &root, &disk.to_string_lossy(), "4G"])?;
    }
    Ok(())
}
