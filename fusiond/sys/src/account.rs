//! Users and their groups, as the name service tells them (`getpwnam_r`, `getpwuid_r`, `getgrouplist`).
//!
//! The name service may ask the network: call on a blocking thread, with a time limit, never after a fork.
//! Not here: who may run agents.

use std::ffi::{CStr, CString, OsString, c_char, c_int};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// One user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// All groups, the primary one among them.
    pub groups: Vec<u32>,
    /// Login name.
    pub name: String,
    /// Home folder.
    pub home: PathBuf,
    /// Login shell.
    pub shell: PathBuf,
}

impl Account {
    /// The user with this id; `None` if there is none.
    ///
    /// # Errors
    /// Those of getpwuid_r(3), of a name service that does not answer for example.
    pub fn by_uid(uid: u32) -> io::Result<Option<Self>> {
        // SAFETY: `fetch` hands over live buffers of the stated size.
        let ask = |entry, buffer, size, found| unsafe { libc::getpwuid_r(uid, entry, buffer, size, found) };
        // SAFETY: the strings of a filled entry are NUL-terminated.
        fetch(ask, |entry| unsafe { read_entry(entry) })?.transpose()
    }

    /// The user with this name; `None` if there is none.
    ///
    /// # Errors
    /// As [`Account::by_uid`]; `EINVAL` for a name with a NUL.
    pub fn by_name(name: &str) -> io::Result<Option<Self>> {
        let name = c_string(name)?;
        // SAFETY: `name` is NUL-terminated and outlives the call; `fetch` hands over live buffers.
        let ask = |entry, buffer, size, found| unsafe {
            libc::getpwnam_r(name.as_ptr(), entry, buffer, size, found)
        };
        // SAFETY: the strings of a filled entry are NUL-terminated.
        fetch(ask, |entry| unsafe { read_entry(entry) })?.transpose()
    }
}

/// The day on which an account expires, in days since 1970 (shadow(5), field 8); `None` where there is no such day or
/// no entry. Only root can ask.
///
/// # Errors
/// Those of getspnam_r(3); `EINVAL` for a name with a NUL.
pub fn expiry_day(name: &str) -> io::Result<Option<u64>> {
    let name = c_string(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call; `fetch` hands over live buffers.
    let ask =
        |entry, buffer, size, found| unsafe { libc::getspnam_r(name.as_ptr(), entry, buffer, size, found) };
    // -1 means no day.
    Ok(fetch(ask, |entry: &libc::spwd| u64::try_from(entry.sp_expire).ok())?.flatten())
}

/// The id of a group; `None` if there is none.
///
/// # Errors
/// Those of getgrnam_r(3); `EINVAL` for a name with a NUL.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    let name = c_string(name)?;
    // SAFETY: `name` is NUL-terminated and outlives the call; `fetch` hands over live buffers.
    let ask =
        |entry, buffer, size, found| unsafe { libc::getgrnam_r(name.as_ptr(), entry, buffer, size, found) };
    fetch(ask, |entry: &libc::group| entry.gr_gid)
}

fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Enough for nearly every entry.
const BUFFER_BYTES: usize = 4096;
/// A group of tens of thousands of members fits; a broken name service does not eat the memory.
const BUFFER_BYTES_MAX: usize = 16 << 20;

/// The codes that getpwnam(3) lists for "not found", besides 0; and EACCES, by which getspnam(3) answers whoever is
/// not root.
fn is_absence(code: c_int) -> bool {
    matches!(code, libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM | libc::EACCES)
}

/// Asks with ever larger buffers until the entry fits, and reads it while its strings are alive.
fn fetch<E, T>(
    mut ask: impl FnMut(*mut E, *mut c_char, usize, *mut *mut E) -> c_int,
    read: impl FnOnce(&E) -> T,
) -> io::Result<Option<T>> {
    let mut buffer = vec![0 as c_char; BUFFER_BYTES];
    loop {
        let mut entry = std::mem::MaybeUninit::<E>::uninit();
        let mut found = std::ptr::null_mut();
        let code = ask(entry.as_mut_ptr(), buffer.as_mut_ptr(), buffer.len(), &raw mut found);
        match code {
            libc::ERANGE if buffer.len() < BUFFER_BYTES_MAX => buffer.resize(buffer.len() * 4, 0),
            0 if found.is_null() => return Ok(None),
            // SAFETY: a non-null `found` points at `entry`, which the call has filled; its strings lie in `buffer`.
            0 => return Ok(Some(read(unsafe { &*found }))),
            code if is_absence(code) => return Ok(None),
            code => return Err(io::Error::from_raw_os_error(code)),
        }
    }
}

/// # Safety
/// The strings of `entry` must be null or NUL-terminated.
unsafe fn read_entry(entry: &libc::passwd) -> io::Result<Account> {
    // SAFETY: promised by the caller.
    let (name, home, shell) = unsafe { (bytes(entry.pw_name), bytes(entry.pw_dir), bytes(entry.pw_shell)) };
    let text = String::from_utf8(name.clone()).map_err(|_| io::Error::from_raw_os_error(libc::EILSEQ))?;
    let name = CString::new(name).expect("bytes of a C string hold no NUL");
    Ok(Account {
        uid: entry.pw_uid,
        gid: entry.pw_gid,
        groups: group_list(&name, entry.pw_gid),
        name: text,
        home: PathBuf::from(OsString::from_vec(home)),
        shell: PathBuf::from(OsString::from_vec(shell)),
    })
}

/// # Safety
/// `text` must be null or NUL-terminated.
unsafe fn bytes(text: *const c_char) -> Vec<u8> {
    if text.is_null() {
        return Vec::new();
    }
    // SAFETY: not null, and NUL-terminated by the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()
}

fn group_list(name: &CStr, gid: u32) -> Vec<u32> {
    let mut groups = vec![0u32; 64];
    loop {
        let mut count = c_int::try_from(groups.len()).expect("the list stays below NGROUPS_MAX times 4");
        // SAFETY: `groups` has room for `count` ids, `name` is NUL-terminated.
        let code = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
        let count = usize::try_from(count).unwrap_or(0);
        if code >= 0 {
            groups.truncate(count);
            return groups;
        }
        // Too small: `count` says how many there are. The kernel takes 65536 at most.
        if groups.len() > 65536 {
            return groups;
        }
        let wanted = count.max(groups.len() * 2);
        groups.resize(wanted, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_id_and_by_name() {
        let by_uid = Account::by_uid(0).expect("a name service").expect("root");
        assert_eq!(by_uid.name, "root");
        assert!(by_uid.groups.contains(&by_uid.gid));
        assert_eq!(Account::by_name("root").expect("a name service"), Some(by_uid));
        assert_eq!(group_id("root").expect("a name service"), Some(0));
    }

    #[test]
    fn an_unknown_user_is_none() {
        assert_eq!(Account::by_uid(3_999_999_999).expect("a name service"), None);
        assert_eq!(Account::by_name("no-such-user-here").expect("a name service"), None);
        assert_eq!(group_id("no-such-group-here").expect("a name service"), None);
    }
}
