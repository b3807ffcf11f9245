//! Giving up power: capability sets of the calling thread. See capabilities(7). Not here: the choice of what to
//! keep (the shim's) and the change of user (`spawn`, `process::become_user`).

use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities,
};

pub use rustix::thread::CapabilitySet as Caps;

/// Empties the bounding set, so that no program started from here can gain a capability, and the ambient set.
///
/// The sets are inherited: a process that starts many programs does this once. Needs `CAP_SETPCAP`.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP`.
pub fn drop_bounding_set() -> io::Result<()> {
    for number in 0..64u32 {
        let Some(capability) = CapabilitySet::from_bits(1 << number) else { continue };
        match capability_is_in_bounding_set(capability) {
            Ok(true) => remove_capability_from_bounding_set(capability)?,
            // EINVAL: newer than the running kernel.
            Ok(false) | Err(rustix::io::Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(clear_ambient_capability_set()?)
}

/// Keeps `kept`, as far as it is permitted now (a container may have taken some), in the permitted and effective sets,
/// nothing in the inheritable set.
///
/// # Errors
/// None are expected; those of capset(2).
pub fn keep_only(kept: Caps) -> io::Result<()> {
    let kept = kept & capabilities(None)?.permitted;
    let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}
