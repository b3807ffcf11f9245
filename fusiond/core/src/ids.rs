//! Ids and other small words that cross every room: agents, tasks, users, capabilities, nonces.
//!
//! Ids are ULID-like (48 bits of milliseconds, 80 bits of entropy, Crockford base32 in lower case)
//! behind a prefix that names the kind: `agt_`, `tsk_`. They sort by age. Not for: drawing ids; the
//! engine hands them in.

use serde::{Deserialize, Serialize};

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Length of an id without its prefix.
pub const ID_CHARS: usize = 26;

/// Where the random tail begins: ten characters hold the time.
const TAIL_AT: usize = 10;

/// How many characters of the tail tables show.
pub const SHORT_CHARS: usize = 8;

fn encode(value: u128) -> [u8; ID_CHARS] {
    let mut out = [0; ID_CHARS];
    for (place, byte) in out.iter_mut().enumerate() {
        let shift = 5 * (ID_CHARS - 1 - place);
        let digit = usize::try_from((value >> shift) & 31).expect("five bits fit");
        *byte = ALPHABET[digit];
    }
    out
}

fn decode(text: &str) -> Option<u128> {
    let bytes = text.as_bytes();
    if bytes.len() != ID_CHARS || bytes[0] > b'7' {
        return None;
    }
    bytes.iter().try_fold(0u128, |value, byte| {
        let digit = ALPHABET.iter().position(|letter| letter == byte)?;
        Some((value << 5) | u128::try_from(digit).ok()?)
    })
}

fn matches_part(value: u128, part: &str) -> bool {
    let text = encode(value);
    text.starts_with(part.as_bytes())
        || text[TAIL_AT..].windows(part.len().max(1)).any(|window| window == part.as_bytes())
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub u128);

        impl $name {
            /// What stands before the 26 characters.
            pub const PREFIX: &'static str = $prefix;

            /// Reads the full form, with prefix; `None` for anything else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                decode(text.strip_prefix(Self::PREFIX)?).map(Self)
            }

            /// Whether `part` (without prefix, lower case) is a beginning of the id or lies in its
            /// random tail.
            #[must_use]
            pub fn matches(self, part: &str) -> bool {
                matches_part(self.0, part)
            }

            /// Makes what is drawn for this one differ from what is drawn for others in the same turn.
            #[must_use]
            pub fn salt(self) -> u64 {
                u64::try_from(self.0 & u128::from(u64::MAX)).expect("masked to 64 bits")
            }

            /// The short form that tables show: prefix and the last eight characters.
            #[must_use]
            pub fn short(self) -> String {
                let text = self.to_string();
                format!("{}{}", Self::PREFIX, &text[text.len() - SHORT_CHARS..])
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let text = encode(self.0);
                f.write_str(Self::PREFIX)?;
                f.write_str(std::str::from_utf8(&text).expect("the alphabet is ASCII"))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{self}")
            }
        }
    };
}

id!(
    /// A supervised worker.
    AgentId,
    "agt_"
);
id!(
    /// A unit of work.
    TaskId,
    "tsk_"
);

id!(
    /// One execution of a workflow.
    RunId,
    "run_"
);

id!(
    /// One version of a workflow's definition.
    WorkflowId,
    "wfl_"
);

id!(
    /// One value of a secret.
    SecretId,
    "sec_"
);

/// A Unix user, proven by the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Uid(pub u32);

/// Proves to daemon and shim that both mean the same incarnation.
pub type Nonce = [u8; 16];

/// Before the name of a profile, the capability that every agent of that profile has.
pub const PROFILE_PREFIX: &str = "profile:";

/// A sorted set of capability names.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Capabilities(Box<[Box<str>]>);

impl Capabilities {
    /// The most one agent may have or one task may ask for.
    pub const COUNT_MAX: usize = 64;
    /// The longest name, in bytes.
    pub const NAME_BYTES_MAX: usize = 64;

    /// Whether every one of these is in `offered`.
    #[must_use]
    pub fn within(&self, offered: &Self) -> bool {
        let mut rest = offered.0.iter();
        self.0.iter().all(|wanted| rest.any(|have| have == wanted))
    }

    /// Those that `offered` lacks.
    #[must_use]
    pub fn missing_from(&self, offered: &Self) -> Vec<&str> {
        self.iter().filter(|name| !offered.iter().any(|have| have == *name)).collect()
    }

    /// These and one more.
    #[must_use]
    pub fn with(&self, name: &str) -> Self {
        self.iter().chain([name]).collect()
    }

    /// Those that every agent of this profile has: without being told, the profile's own name.
    #[must_use]
    pub fn of_profile(self, profile: &str) -> Self {
        if profile.is_empty() { self } else { self.with(&format!("{PROFILE_PREFIX}{profile}")) }
    }

    /// The profiles that are asked for by name.
    pub fn profiles(&self) -> impl Iterator<Item = &str> {
        self.iter().filter_map(|name| name.strip_prefix(PROFILE_PREFIX))
    }

    /// The names, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(AsRef::as_ref)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl<S: Into<Box<str>>> FromIterator<S> for Capabilities {
    fn from_iter<I: IntoIterator<Item = S>>(names: I) -> Self {
        let mut names: Vec<Box<str>> = names.into_iter().map(Into::into).collect();
        names.sort();
        names.dedup();
        Self(names.into_boxed_slice())
    }
}

impl std::fmt::Display for Capabilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, name) in self.iter().enumerate() {
            write!(f, "{}{name}", if place == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_from_its_own_text() {
        for value in [0, 1, u128::MAX >> 2, 0x0192_0000_0000_1234_5678_9abc_def0_1234] {
            let id = TaskId(value);
            assert_eq!(TaskId::parse(&id.to_string()), Some(id));
        }
        assert_eq!(TaskId::parse("tsk_u"), None);
        assert_eq!(TaskId::parse("agt_00000000000000000000000000"), None);
    }

    #[test]
    fn a_part_of_the_tail_or_a_beginning_names_an_id() {
        let id = AgentId(0x0192_0000_0000_1234_5678_9abc_def0_1234);
        let text = id.to_string();
        assert!(id.matches(&text[4..14]));
        assert!(id.matches(&text[20..]));
        assert!(!id.matches("zzzzzz"));
    }

    #[test]
    fn capabilities_are_a_sorted_set() {
        let some: Capabilities = ["b", "a", "b"].into_iter().collect();
        let more: Capabilities = ["c", "b", "a"].into_iter().collect();
        assert!(some.within(&more) && !more.within(&some));
        assert_eq!(more.missing_from(&some), ["c"]);
        assert_eq!(some.with("aa").iter().collect::<Vec<_>>(), ["a", "aa", "b"]);
    }

    #[test]
    fn the_name_of_a_profile_is_a_capability() {
        let some: Capabilities = ["sh"].into_iter().collect();
        let of = some.clone().of_profile("claude");
        assert_eq!(of.profiles().collect::<Vec<_>>(), ["claude"]);
        assert!(some.within(&of));
        assert_eq!(some.clone().of_profile(""), some);
    }
}
