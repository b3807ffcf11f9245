//! Which programs of profiles are there: a part of `system doctor`.
//!
//! Each is asked as the user who calls, as an agent of theirs would run it. Not for: running it (`runtime::detect`).

use std::path::Path;

use super::Door;
use crate::health::Status;
use crate::paths::SHARED_PROFILES;
use crate::profile::BUILT_IN;
use crate::runtime::{Asker, Presence, Question};
use fusion_core::Caller;
use fusion_core::state::RootAgents;
use fusion_proto::v1;

/// Whether a profile is there without anybody having asked for it.
fn is_offered(source: &str) -> bool {
    source == BUILT_IN || Path::new(source).starts_with(SHARED_PROFILES)
}

impl Door {
    /// One check for each profile that says how its program is found.
    pub(crate) async fn programs(&self, caller: Caller, path: String) -> Vec<v1::Check> {
        let in_force = self.keeper.in_force();
        let profiles = in_force.library.list(caller.uid.0).into_iter();
        let profiles = profiles.filter(|profile| !profile.detect.is_empty());
        let (asked, questions): (Vec<_>, Vec<_>) = profiles
            .map(|profile| {
                let (argv, env) = (profile.detect.clone(), profile.env.clone().into_iter().collect());
                let asked = Asked {
                    name: profile.name.clone(),
                    command: profile.detect.join(" "),
                    is_offered: is_offered(&profile.source),
                };
                (asked, Question { argv, env })
            })
            .unzip();
        if asked.is_empty() {
            return Vec::new();
        }
        if caller.uid.0 == 0 && in_force.config.root_agents == RootAgents::Refused {
            let remedy = "ask as a user: sudo -u USER fusionctl system doctor";
            return vec![check("profiles", Status::Ok, "not looked for: root owns no agents", remedy)];
        }
        match self.runtime.detect(Asker { uid: caller.uid, path }, questions).await {
            Ok(answers) => asked.iter().zip(answers).map(|(asked, answer)| show(asked, answer)).collect(),
            Err(reason) => vec![check("profiles", Status::Weak, &reason, "")],
        }
    }
}

/// What is asked of one profile.
struct Asked {
    name: String,
    command: String,
    /// It came with the package, for those who have its program: nobody has asked for it.
    is_offered: bool,
}

fn show(asked: &Asked, answer: Presence) -> v1::Check {
    let name = format!("profile {}", asked.name);
    match answer {
        Presence::Present(said) if said.is_empty() => check(&name, Status::Ok, "installed", ""),
        Presence::Present(said) => check(&name, Status::Ok, &format!("installed: {said}"), ""),
        Presence::Absent(_) if asked.is_offered => check(&name, Status::Ok, "not installed", ""),
        Presence::Absent(reason) => {
            let remedy = format!("install it, or call with the PATH that it is in: {}", asked.command);
            check(&name, Status::Weak, &reason, &remedy)
        }
    }
}

fn check(name: &str, status: Status, detail: &str, remedy: &str) -> v1::Check {
    let (name, status) = (name.to_owned(), status.word().to_owned());
    v1::Check { name, status, detail: detail.to_owned(), remedy: remedy.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_program_that_somebody_asked_for_is_missed() {
        let status = |is_offered, answer| {
            let asked = Asked { name: "p".to_owned(), command: "p --version".to_owned(), is_offered };
            show(&asked, answer).status
        };
        let absent = || Presence::Absent("no p in PATH".to_owned());
        assert_eq!(status(false, absent()), Status::Weak.word());
        assert_eq!(status(true, absent()), Status::Ok.word());
        assert_eq!(status(true, Presence::Present("1.0".to_owned())), Status::Ok.word());
    }
}
