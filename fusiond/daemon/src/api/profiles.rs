//! The profile service.
//!
//! Not for: reading profile files (`crate::profile`), and who takes them over (`crate::reload`).

use super::plan::plan_sandbox;
use super::refuse::refuse;
use super::{Door, page_size};
use crate::profile::{self, Kind, Library, Profile};
use fusion_core::{Caller, Command, Reject, Uid};
use fusion_proto::v1;
use fusion_workflow::definition::Node;
use fusion_workflow::template::is_template;
use tonic::{Request, Response, Status};

/// The longest text of one file of profiles.
const TOML_BYTES_MAX: usize = 64 << 10;

#[tonic::async_trait]
impl v1::profile_service_server::ProfileService for Door {
    async fn list_profiles(
        &self,
        request: Request<v1::ListProfilesRequest>,
    ) -> Result<Response<v1::ListProfilesResponse>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let size = page_size(ask.page_size);
        let library = self.keeper.in_force().library;
        let after = |profile: &&Profile| ask.page_token.is_empty() || profile.name > ask.page_token;
        let listed = library.list(caller.uid.0).into_iter().filter(after);
        let profiles: Vec<v1::Profile> = listed.take(size).map(show).collect();
        let full = profiles.len() == size;
        let next_page_token =
            profiles.last().filter(|_| full).map(|last| last.name.clone()).unwrap_or_default();
        Ok(Response::new(v1::ListProfilesResponse { profiles, next_page_token }))
    }

    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::Profile>, Status> {
        let caller = Self::caller(&request)?;
        let name = request.into_inner().profile;
        let library = self.keeper.in_force().library;
        match library.get(caller.uid.0, &name) {
            Some(profile) => Ok(Response::new(show(profile))),
            None => Err(refuse(&profile_not_found(&library, caller.uid.0, name))),
        }
    }

    async fn apply_profiles(
        &self,
        request: Request<v1::ApplyProfilesRequest>,
    ) -> Result<Response<v1::ApplyProfilesResponse>, Status> {
        let caller = Self::caller(&request)?;
        let applied = self.apply(caller, request.into_inner()).await.map_err(|reject| refuse(&reject))?;
        Ok(Response::new(v1::ApplyProfilesResponse { profiles: applied.iter().map(show).collect() }))
    }

    async fn remove_profile(
        &self,
        request: Request<v1::RemoveProfileRequest>,
    ) -> Result<Response<v1::RemoveProfileResponse>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        self.remove(caller, ask).await.map_err(|reject| refuse(&reject))?;
        Ok(Response::new(v1::RemoveProfileResponse {}))
    }
}

impl Door {
    /// Reads the text, keeps it, and lets all doors see it: in this order, so that nothing is seen that a
    /// crash could forget.
    async fn apply(&self, caller: Caller, ask: v1::ApplyProfilesRequest) -> Result<Vec<Profile>, Reject> {
        let (owner, _) = self.owner(caller, &ask.user)?;
        let file = if ask.file.is_empty() { "the text".to_owned() } else { ask.file };
        if ask.toml.len() > TOML_BYTES_MAX {
            let (what, bytes) = ("a file of profiles", ask.toml.len());
            return Err(Reject::TooLarge { what, bytes, limit: TOML_BYTES_MAX });
        }
        let found = profile::read(&file, &ask.toml);
        let mut found = found.map_err(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Reject::ProfileInvalid { file: file.clone(), problems: problems.join("; ") }
        })?;
        if found.is_empty() {
            let problems = "expected tables [profile.NAME], found none".to_owned();
            return Err(Reject::ProfileInvalid { file, problems });
        }
        let profiles = found.iter().map(|profile| (profile.name.clone(), profile.to_toml())).collect();
        self.keep(caller, owner, Command::ApplyProfiles { owner, profiles }).await?;
        for profile in &mut found {
            profile::APPLIED.clone_into(&mut profile.source);
        }
        Ok(found)
    }

    async fn remove(&self, caller: Caller, ask: v1::RemoveProfileRequest) -> Result<(), Reject> {
        let (owner, _) = self.owner(caller, &ask.user)?;
        self.keep(caller, owner, Command::RemoveProfile { owner, name: ask.profile }).await
    }

    async fn keep(&self, caller: Caller, owner: Uid, command: Command) -> Result<(), Reject> {
        self.engine.ask(caller, command, None, |_, _, _| ()).await?;
        self.keeper.applied(owner).await
    }
}

/// Whether the agents that these nodes ask for can be made; a name that is a template is known when the node begins.
pub(super) fn check_named(library: &Library, owner: Uid, nodes: &[Node]) -> Result<(), Reject> {
    let tasks = nodes.iter().filter(|node| node.is_task());
    for name in tasks.filter_map(|node| node.terms.profile.as_deref()).filter(|name| !is_template(name)) {
        let profile = library.get(owner.0, name);
        let profile = profile.ok_or_else(|| profile_not_found(library, owner.0, name.to_owned()))?;
        if profile.kind != Kind::Exec {
            return Err(Reject::ProfileKind {
                profile: name.to_owned(),
                kind: profile.kind.word().to_owned(),
            });
        }
        if profile.command.is_empty() {
            let expected = "one with a command of its own: `fusionctl profile show` tells";
            return Err(Reject::FieldInvalid { field: "profile", value: name.to_owned(), expected });
        }
        plan_sandbox(profile, "")?;
    }
    Ok(())
}

/// The refusal, with the name that was perhaps meant.
pub(super) fn profile_not_found(library: &Library, uid: u32, profile: String) -> Reject {
    let nearest = library.nearest(uid, &profile).map(str::to_owned);
    Reject::ProfileNotFound { profile, nearest }
}

fn show(profile: &Profile) -> v1::Profile {
    v1::Profile {
        name: profile.name.clone(),
        kind: profile.kind.word().to_owned(),
        command: profile.command.clone(),
        prompt: profile.prompt.word().to_owned(),
        home: profile.home.word().to_owned(),
        capabilities: profile.capabilities.clone(),
        sandbox: profile.sandbox.word().to_owned(),
        result: profile.result.to_string(),
        source: profile.source.clone(),
        description: profile.description.clone(),
        toml: profile.to_toml(),
        stdin: profile.stdin.word().to_owned(),
        usage: profile.usage.as_ref().map(ToString::to_string).unwrap_or_default(),
        tokens: profile.tokens.iter().map(ToString::to_string).collect(),
    }
}
