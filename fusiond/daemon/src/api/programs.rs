//! Which programs of profiles are there: a part of `system doctor`.
//!
//! Each is asked as the user who calls, as an agent of theirs would run it. Not for: running it (`runtime::detect`).

use super::Door;
use crate::health::Status;
use crate::runtime::{Asker, Presence, Question};
use fusion_core::Caller;
use fusion_core::state::RootAgents;
use fusion_proto::v1;

impl Door {
    /// One check for each profile that says how its program is found.
    pub(crate) async fn programs(&self, caller: Caller, path: String) -> Vec<v1::Check> {
        let in_force = self.keeper.in_force();
        let profiles = in_force.library.list(caller.uid.0).into_iter();
        let profiles = profiles.filter(|profile| !profile.detect.is_empty());
        let (names, questions): (Vec<_>, Vec<_>) = profiles
            .map(|profile| {
                let (argv, env) = (profile.detect.clone(), profile.env.clone().into_iter().collect());
                ((profile.name.clone(), profile.detect.join(" ")), Question { argv, env })
            })
            .unzip();
        if names.is_empty() {
            return Vec::new();
        }
        if caller.uid.0 == 0 && in_force.config.root_agents == RootAgents::Refused {
            let remedy = "ask as a user: sudo -u USER fusionctl system doctor";
            return vec![check("profiles", Status::Ok, "not looked for: root owns no agents", remedy)];
        }
        match self.runtime.detect(Asker { uid: caller.uid, path }, questions).await {
            Ok(answers) => names.iter().zip(answers).map(|(name, answer)| show(name, answer)).collect(),
            Err(reason) => vec![check("profiles", Status::Weak, &reason, "")],
        }
    }
}

fn show((name, command): &(String, String), answer: Presence) -> v1::Check {
    let name = format!("profile {name}");
    match answer {
        Presence::Present(said) if said.is_empty() => check(&name, Status::Ok, "installed", ""),
        Presence::Present(said) => check(&name, Status::Ok, &format!("installed: {said}"), ""),
        Presence::Absent(reason) => {
            let remedy = format!("install it, or call with the PATH that it is in: {command}");
            check(&name, Status::Weak, &reason, &remedy)
        }
    }
}

fn check(name: &str, status: Status, detail: &str, remedy: &str) -> v1::Check {
    let (name, status) = (name.to_owned(), status.word().to_owned());
    v1::Check { name, status, detail: detail.to_owned(), remedy: remedy.to_owned() }
}
