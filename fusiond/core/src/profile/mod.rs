//! Profiles that users gave the daemon themselves: texts with a name, an owner and an age.
//!
//! What a text says is read at the door, before it comes here, and again when an agent is made of it. Not
//! for: profiles from folders, which are read anew at each start and reload and are not kept.

pub(crate) mod apply;
pub(crate) mod remove;

pub use apply::ProfileText;

use crate::ids::Uid;
use crate::state::State;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The profiles of one user, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserProfiles {
    /// Whose they are; nobody else sees them.
    pub owner: Uid,
    /// By name.
    pub texts: BTreeMap<String, Applied>,
}

/// One profile as it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The profile alone, as TOML.
    pub toml: String,
    /// When it was applied last.
    pub at: Time,
}

/// The most profiles of one user: a typing error in a script must not fill the memory.
pub const PROFILES_MAX: usize = 100;

/// The most bytes of all profiles of one user: they are one stored value, written with every change.
pub const PROFILES_BYTES_MAX: usize = 256 << 10;

impl State {
    /// The same with the profiles of users as stored.
    #[must_use]
    pub fn with_profiles(mut self, profiles: Vec<UserProfiles>) -> Self {
        self.profiles = profiles.into_iter().map(|kept| (kept.owner, kept)).collect();
        self
    }

    /// The profiles that this user applied.
    #[must_use]
    pub fn profiles_of(&self, owner: Uid) -> Option<&UserProfiles> {
        self.profiles.get(&owner)
    }

    /// All that users applied, by user.
    pub fn profiles(&self) -> impl Iterator<Item = &UserProfiles> {
        self.profiles.values()
    }
}
