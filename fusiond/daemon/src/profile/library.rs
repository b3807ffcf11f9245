//! All profiles that agents can be made of, by user: those from folders for everybody, those that a user
//! applied for that user alone. The one place where stored texts become profiles.
//!
//! Order: built in, then each folder, then the user's own; a later one of the same name wins. Not here:
//! keeping the texts (`fusion_core::profile`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fusion_core::profile::UserProfiles;

use super::{Profile, Profiles, parse};
use crate::config::{Problem, near};

/// The source of profiles that a user applied.
pub const APPLIED: &str = "applied";

/// Profiles for every user. Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Library {
    shared: Arc<Profiles>,
    own: BTreeMap<u32, Arc<Profiles>>,
}

impl Library {
    /// A library of profiles for everybody.
    #[must_use]
    pub fn of(shared: Profiles) -> Self {
        Self { shared: Arc::new(shared), own: BTreeMap::new() }
    }

    /// The same users' profiles over others for everybody.
    #[must_use]
    pub fn with_shared(&self, shared: Profiles) -> Self {
        Self { shared: Arc::new(shared), own: self.own.clone() }
    }

    /// The same with what this user has applied by now. A text that this version cannot read is left out
    /// and told: another version kept it.
    #[must_use]
    pub fn with_own(&self, uid: u32, kept: Option<&UserProfiles>) -> (Self, Vec<Problem>) {
        let mut library = self.clone();
        let mut problems = Vec::new();
        let mut own = BTreeMap::new();
        for applied in kept.iter().flat_map(|kept| kept.texts.values()) {
            match read(APPLIED, &applied.toml) {
                Ok(found) => own.extend(found.into_iter().map(|profile| (profile.name.clone(), profile))),
                Err(found) => problems.extend(found),
            }
        }
        if own.is_empty() {
            library.own.remove(&uid);
        } else {
            library.own.insert(uid, Arc::new(Profiles(own)));
        }
        (library, problems)
    }

    /// The profile of this name for this user.
    #[must_use]
    pub fn get(&self, uid: u32, name: &str) -> Option<&Profile> {
        let own = self.own.get(&uid).and_then(|own| own.get(name));
        own.or_else(|| self.shared.get(name))
    }

    /// All profiles of this user, by name.
    #[must_use]
    pub fn list(&self, uid: u32) -> Vec<&Profile> {
        let mut found: BTreeMap<&str, &Profile> =
            self.shared.list().map(|profile| (profile.name.as_str(), profile)).collect();
        let own = self.own.get(&uid).into_iter().flat_map(|own| own.list());
        found.extend(own.map(|profile| (profile.name.as_str(), profile)));
        found.into_values().collect()
    }

    /// The users with profiles of their own.
    pub fn owners(&self) -> impl Iterator<Item = u32> {
        self.own.keys().copied()
    }

    /// The name that is nearest to one that there is not.
    #[must_use]
    pub fn nearest(&self, uid: u32, name: &str) -> Option<&str> {
        near::nearest(name, self.list(uid).into_iter().map(|profile| profile.name.as_str()))
    }

    /// Those for everybody.
    #[must_use]
    pub fn shared(&self) -> &Profiles {
        &self.shared
    }

    /// How many are for everybody.
    #[must_use]
    pub fn shared_count(&self) -> usize {
        self.shared.list().len()
    }
}

/// The profiles in a text that somebody calls `name`; all or none.
///
/// # Errors
/// Everything that is wrong, each with its line and column.
pub fn read(name: &str, text: &str) -> Result<Vec<Profile>, Vec<Problem>> {
    parse::file(Path::new(name), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_core::profile::Applied;
    use fusion_core::{Time, Uid};

    fn kept(uid: u32, texts: &[(&str, &str)]) -> UserProfiles {
        let applied = |toml: &str| Applied { toml: toml.to_owned(), at: Time(0) };
        let texts = texts.iter().map(|(name, toml)| ((*name).to_owned(), applied(toml))).collect();
        UserProfiles { owner: Uid(uid), texts }
    }

    #[test]
    fn what_a_user_applied_is_that_users_alone_and_wins() {
        let library = Library::of(Profiles::built_in());
        let own = kept(7, &[("shell", "[profile.shell]\ncommand = [\"/bin/bash\"]\n")]);
        let (library, problems) = library.with_own(7, Some(&own));
        assert_eq!(problems, []);
        assert_eq!(library.get(7, "shell").unwrap().command, ["/bin/bash"]);
        assert_eq!(library.get(7, "shell").unwrap().source, APPLIED);
        assert_eq!(library.get(8, "shell").unwrap().command, ["/bin/sh"]);
        assert_eq!(library.list(7).len(), Profiles::built_in().list().len());
        let (library, _) = library.with_own(7, None);
        assert_eq!(library.get(7, "shell").unwrap().command, ["/bin/sh"]);
    }

    #[test]
    fn a_kept_text_that_cannot_be_read_is_told_and_left_out() {
        let own =
            kept(7, &[("a", "[profile.a]\nfrobnicate = 1\n"), ("b", "[profile.b]\ncommand = [\"b\"]\n")]);
        let (library, problems) = Library::of(Profiles::built_in()).with_own(7, Some(&own));
        assert!(library.get(7, "a").is_none() && library.get(7, "b").is_some());
        assert!(!problems.is_empty());
    }
}
