//! The workspace service: one method per verb.
//!
//! Not for: deciding (`fusion_core::workspace`); touching a workspace (`crate::workspace`).

use super::agents::page_start;
use super::refuse::refuse;
use super::{Door, page_size, view};
use crate::runtime::{InspectError, Inspected};
use fusion_core::agent::Leftovers;
use fusion_core::{Agent, AgentId, Caller, Command, Key, Reject, State};
use fusion_proto::v1;
use tonic::{Request, Response, Status};

#[tonic::async_trait]
impl v1::workspace_service_server::WorkspaceService for Door {
    async fn get_workspace(
        &self,
        request: Request<v1::GetWorkspaceRequest>,
    ) -> Result<Response<v1::Workspace>, Status> {
        let caller = Self::caller(&request)?;
        let text = request.into_inner().agent;
        let look = move |state: &State, _| {
            state.find_agent(caller, &text).map(|agent| view::workspace::workspace(state, agent))
        };
        let found = self.engine.look(look).await.and_then(|found| found).map_err(|reject| refuse(&reject))?;
        Ok(Response::new(self.named_workspace(found)))
    }

    async fn list_workspaces(
        &self,
        request: Request<v1::ListWorkspacesRequest>,
    ) -> Result<Response<v1::ListWorkspacesResponse>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let after = page_start(&ask.page_token).map_err(|reject| refuse(&reject))?;
        let size = page_size(ask.page_size);
        let look = move |state: &State, _| {
            let wanted = |agent: &&Agent| match (ask.state(), view::workspace::state(agent)) {
                (v1::WorkspaceState::Unspecified, word) => word != v1::WorkspaceState::Removed,
                (asked, word) => word == asked,
            };
            state
                .agents()
                .filter(|agent| after.is_none_or(|after| agent.id > after))
                .filter(|agent| State::sees_agent(caller, agent))
                .filter(wanted)
                .take(size)
                .map(|agent| view::workspace::workspace(state, agent))
                .collect::<Vec<_>>()
        };
        let found = self.engine.look(look).await.map_err(|reject| refuse(&reject))?;
        let full = found.len() == size;
        let next_page_token =
            found.last().filter(|_| full).map(|workspace| workspace.agent.clone()).unwrap_or_default();
        let workspaces = found.into_iter().map(|workspace| self.named_workspace(workspace)).collect();
        Ok(Response::new(v1::ListWorkspacesResponse { workspaces, next_page_token }))
    }

    async fn measure_workspace(
        &self,
        request: Request<v1::MeasureWorkspaceRequest>,
    ) -> Result<Response<v1::WorkspaceUsage>, Status> {
        let caller = Self::caller(&request)?;
        let place = self.inspected(caller, request.into_inner().agent).await?;
        let agent = place.agent;
        let usage = self.runtime.measure(place).await;
        let usage = usage.map_err(|error| refuse(&cannot_look(agent, error)))?;
        Ok(Response::new(view::workspace::usage(&usage)))
    }

    async fn delete_workspace(
        &self,
        request: Request<v1::DeleteWorkspaceRequest>,
    ) -> Result<Response<v1::DeleteWorkspaceResponse>, Status> {
        let caller = Self::caller(&request)?;
        let agent = request.into_inner().agent;
        let id = self.order_agent(caller, Command::RemoveWorkspace { agent }).await?;
        self.wait_removed(id).await?;
        Ok(Response::new(v1::DeleteWorkspaceResponse {}))
    }
}

impl Door {
    /// Waits until the removal that was ordered has come to its end.
    pub(crate) async fn wait_removed(&self, id: AgentId) -> Result<(), Status> {
        let look = move |state: &State| match state.agent(id) {
            None => Some(Ok(())),
            Some(agent) => outcome(agent),
        };
        let removed = self.engine.wait(Key::Agent(id), look).await.and_then(|removed| removed);
        removed.map_err(|reject| refuse(&reject))
    }

    /// The workspace of an agent that the caller may look into.
    async fn inspected(&self, caller: Caller, text: String) -> Result<Inspected, Status> {
        let look = move |state: &State, _| {
            let agent = state.find_agent(caller, &text)?;
            let path = agent.spec.recipe.workspace.clone().into();
            Ok(Inspected { agent: agent.id, owner: agent.owner, path })
        };
        self.engine.look(look).await.and_then(|found| found).map_err(|reject| refuse(&reject))
    }

    /// Puts the owner's name in.
    fn named_workspace(&self, mut workspace: v1::Workspace) -> v1::Workspace {
        workspace.user = self.name_of(&workspace.user);
        workspace
    }
}

fn cannot_look(agent: AgentId, error: InspectError) -> Reject {
    let agent = agent.to_string();
    match error {
        InspectError::Gone => Reject::WorkspaceGone { agent },
        InspectError::Failed(reason) => Reject::WorkspaceUnreadable { agent, reason },
    }
}

/// What became of a removal; `None` while it is under way.
fn outcome(agent: &Agent) -> Option<Result<(), Reject>> {
    let Some(leftovers) = agent.leftovers() else { return Some(Ok(())) };
    let failed = agent.trouble.clone();
    match leftovers {
        Leftovers::Bare => Some(Ok(())),
        Leftovers::Kept | Leftovers::Removing | Leftovers::Sparing | Leftovers::Clearing => {
            failed.map(|reason| Err(Reject::RemovalFailed { agent: agent.id.to_string(), reason }))
        }
    }
}
