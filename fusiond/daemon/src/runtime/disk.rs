//! Which disk a folder lies on: limits of throughput name a whole disk. Not here: how much room there is
//! (`health::disk`).

use std::path::Path;

use fusion_shim::wire::Disk;

/// The whole disk below a folder; `None` where the kernel can limit none: memory, overlay, btrfs, network.
///
/// Source: `/sys/dev/block` (Documentation/ABI/stable/sysfs-dev in the kernel tree); a partition is a folder in that
/// of its disk and has a file `partition`.
pub(super) fn below(folder: &Path) -> Option<Disk> {
    let device = rustix::fs::stat(folder).ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let node = std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    let is_part = node.join("partition").exists();
    let whole = if is_part { node.parent()? } else { &node };
    parse(&std::fs::read_to_string(whole.join("dev")).ok()?)
}

fn parse(text: &str) -> Option<Disk> {
    let (major, minor) = text.trim().split_once(':')?;
    Some(Disk { major: major.parse().ok()?, minor: minor.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_no_disk() {
        assert_eq!(below(Path::new("/proc")), None);
        assert_eq!(parse("8:16\n"), Some(Disk { major: 8, minor: 16 }));
    }
}
