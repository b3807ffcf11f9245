//! The profile service.
//!
//! Not for: reading profile files (`crate::profile`).

use super::refuse::refuse;
use super::{Door, page_size};
use crate::profile::Profile;
use fusion_core::Reject;
use fusion_proto::v1;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl v1::profile_service_server::ProfileService for Door {
    async fn list_profiles(
        &self,
        request: Request<v1::ListProfilesRequest>,
    ) -> Result<Response<v1::ListProfilesResponse>, Status> {
        Self::caller(&request)?;
        let ask = request.into_inner();
        let size = page_size(ask.page_size);
        let after = |profile: &&Profile| ask.page_token.is_empty() || profile.name > ask.page_token;
        let profiles: Vec<v1::Profile> = self.profiles.list().filter(after).take(size).map(show).collect();
        let full = profiles.len() == size;
        let next_page_token =
            profiles.last().filter(|_| full).map(|last| last.name.clone()).unwrap_or_default();
        Ok(Response::new(v1::ListProfilesResponse { profiles, next_page_token }))
    }

    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::Profile>, Status> {
        Self::caller(&request)?;
        let name = request.into_inner().profile;
        match self.profiles.get(&name) {
            Some(profile) => Ok(Response::new(show(profile))),
            None => Err(refuse(&self.profile_not_found(name))),
        }
    }
}

impl Door {
    /// The refusal, with the name that was perhaps meant.
    pub(crate) fn profile_not_found(&self, profile: String) -> Reject {
        let nearest = self.profiles.nearest(&profile).map(str::to_owned);
        Reject::ProfileNotFound { profile, nearest }
    }
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
    }
}
