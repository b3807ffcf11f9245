//! Booting: in systemd-nspawn on an overlay, in qemu on a copy-on-write disk, so that the image stays as it was. Not here:
//! what the machine tells (`report`).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, bail};

use super::Kind;
use super::image::Image;
use super::report::Report;
use crate::shell;

/// The longest that a machine may take from boot to boot, in seconds: several times what it needs where the host is loaded.
const BOOT_SECONDS_MAX: &str = "3600";
/// A machine is started again when a story asked for a reboot; none asks more often.
const BOOTS_MAX: usize = 4;

/// Boots until the stories are through.
///
/// # Errors
///
/// When a tool is missing or the machine does not start.
pub(super) fn run(kind: Kind, image: &Image, cargo: &Path) -> anyhow::Result<Report> {
    match kind {
        Kind::Full => qemu("tcg,thread=multi", image, cargo),
        Kind::Accelerated => qemu("kvm", image, cargo),
        Kind::Quick => nspawn(image, cargo),
    }
}

fn nspawn(image: &Image, cargo: &Path) -> anyhow::Result<Report> {
    shell::need("systemd-nspawn", "systemd-container")?;
    let scratch = tempfile::tempdir().context("a temporary folder")?;
    let root = Overlay::mount(&image.root(), scratch.path())?;
    std::fs::write(cargo.join("report"), "")?;
    let home = Home::make()?;
    let console = std::fs::File::create(cargo.join("console")).context("the console's file")?;
    for boot in 1..=BOOTS_MAX {
        let mut command = contained(&home, &root, cargo);
        command.stdin(Stdio::null()).stdout(console.try_clone()?).stderr(console.try_clone()?);
        let status = command.status().context("cannot start systemd-nspawn")?;
        shell::say(&format!("boot {boot} ended: {status}\n"));
        let report = Report::read(&cargo.join("report"), &cargo.join("console"))?;
        if !report.wants_reboot() {
            return Ok(report);
        }
    }
    bail!("the machine wanted to be started more than {BOOTS_MAX} times")
}

/// One boot. A reboot ends it (exit code 133), and the next is told another id of the boot, as by a kernel of its own.
fn contained(home: &Home, root: &Overlay, cargo: &Path) -> Command {
    let mut command = home.enter();
    command.args(["timeout", "--kill-after=10", BOOT_SECONDS_MAX, "systemd-nspawn", "--quiet"]);
    command.args(["--register=no", "--keep-unit", "--machine=fusiond-vm", "--boot", "--console=pipe"]);
    command.arg("--directory").arg(&root.merged).arg(format!("--bind={}:/vm", cargo.display()));
    command
}

/// Cgroups of this run, one in each hierarchy that systemd knows: what the container makes is made below them, and what is
/// left of it, also after it was killed, ends with them.
struct Home {
    folders: Vec<PathBuf>,
}

impl Home {
    fn make() -> anyhow::Result<Self> {
        let base = Path::new("/sys/fs/cgroup");
        let known = match base.join("cgroup.procs").exists() {
            true => vec![base.to_owned()],
            false => ["unified", "systemd"].map(|name| base.join(name)).to_vec(),
        };
        let name = format!("vm-{}", std::process::id());
        let folders: Vec<PathBuf> =
            known.iter().filter(|path| path.is_dir()).map(|path| path.join(&name)).collect();
        for folder in &folders {
            std::fs::create_dir(folder).with_context(|| format!("making the cgroup {}", folder.display()))?;
        }
        Ok(Self { folders })
    }

    /// What stands before a command that is to run in them.
    fn enter(&self) -> Command {
        let mut command = shell::command("sh");
        let write = |folder: &PathBuf| format!("echo $$ > '{}/cgroup.procs'; ", folder.display());
        let enter: String = self.folders.iter().map(write).collect();
        command.args(["-c", &format!("{enter}exec \"$@\""), "sh"]);
        command
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for folder in &self.folders {
            // Where there is none to be killed in this way, nothing is left to kill either: the other hierarchy did it.
            drop(std::fs::write(folder.join("cgroup.kill"), "1"));
            shell::succeeds(
                "find",
                &[&folder.to_string_lossy(), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"],
            );
        }
    }
}

/// An overlay over the image, unmounted when dropped.
struct Overlay {
    merged: PathBuf,
    base: PathBuf,
}

impl Overlay {
    /// On a tmpfs of its own: what lies below may be an overlay itself, which cannot carry another one.
    fn mount(lower: &Path, base: &Path) -> anyhow::Result<Self> {
        let overlay = Self { merged: base.join("merged"), base: base.to_owned() };
        shell::run("mount", &["-t", "tmpfs", "-o", "mode=0755", "tmpfs", &base.to_string_lossy()])?;
        for name in ["upper", "work", "merged"] {
            std::fs::create_dir(base.join(name))?;
        }
        let options =
            format!("lowerdir={0},upperdir={1}/upper,workdir={1}/work", lower.display(), base.display());
        shell::run(
            "mount",
            &["-t", "overlay", "-o", &options, "overlay", &overlay.merged.to_string_lossy()],
        )?;
        Ok(overlay)
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        for path in [&self.merged, &self.base] {
            shell::succeeds("umount", &["--lazy", &path.to_string_lossy()]);
        }
    }
}

fn qemu(accel: &str, image: &Image, cargo: &Path) -> anyhow::Result<Report> {
    shell::need("qemu-system-x86_64", "qemu-system-x86")?;
    shell::need("qemu-img", "qemu-utils")?;
    let scratch = tempfile::tempdir().context("a temporary folder")?;
    let (disk, load) = (scratch.path().join("disk.qcow2"), scratch.path().join("load.tar"));
    let base = image.disk();
    let args =
        ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", &base.to_string_lossy(), &disk.to_string_lossy()];
    shell::run("qemu-img", &args)?;
    shell::run("tar", &["-cf", &load.to_string_lossy(), "-C", &cargo.to_string_lossy(), "."])?;
    let told = cargo.join("report");
    let mut whole = String::new();
    for boot in 1..=BOOTS_MAX {
        shell::say(&format!("boot {boot}\n"));
        let status = started(accel, image, &disk, &load, &told, cargo)?.wait()?;
        whole.push_str(&String::from_utf8_lossy(&std::fs::read(&told)?));
        std::fs::write(&told, &whole)?;
        if !status.success() {
            bail!("qemu ended with {status}; its console:\n{}", Report::tail(&cargo.join("console")));
        }
        let report = Report::read(&told, &cargo.join("console"))?;
        if !report.wants_reboot() {
            return Ok(report);
        }
    }
    bail!("the machine wanted to be started more than {BOOTS_MAX} times")
}

/// A reboot ends the program, so that the next boot is a start of its own.
fn started(
    accel: &str,
    image: &Image,
    disk: &Path,
    load: &Path,
    told: &Path,
    cargo: &Path,
) -> anyhow::Result<Child> {
    let [kernel, ramdisk] = image.boot();
    let mut qemu = shell::command("timeout");
    qemu.args(["--kill-after=10", BOOT_SECONDS_MAX, "qemu-system-x86_64", "-display", "none", "-no-reboot"]);
    qemu.args(["-nodefaults", "-accel", accel, "-cpu", "max", "-smp", "2", "-m", "2048"]);
    qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(ramdisk);
    qemu.args(["-append", "console=ttyS0 root=/dev/vda rw quiet systemd.show_status=0"]);
    qemu.arg("-drive").arg(format!("file={},format=qcow2,if=virtio,cache=unsafe", disk.display()));
    qemu.arg("-drive").arg(format!("file={},format=raw,if=virtio,readonly=on", load.display()));
    qemu.arg("-serial").arg(format!("file:{}", cargo.join("console").display()));
    qemu.arg("-serial").arg(format!("file:{}", told.display()));
    qemu.stdin(Stdio::null()).spawn().context("cannot start qemu")
}
