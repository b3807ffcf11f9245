//! The workspace service: one method per verb.
//!
//! Not for: deciding (`fusion_core::workspace`); touching a workspace (`crate::workspace`).

use super::agents::page_start;
use super::refuse::refuse;
use super::secrets::demand_user;
use super::{Door, page_size, view};
use crate::runtime::{Comparison, Detail, InspectError, Inspected, Next};
use crate::vault::{End, Mask, Masker};
use fusion_core::agent::Leftovers;
use fusion_core::workspace::Seeded;
use fusion_core::{Agent, AgentId, Caller, Command, Key, Reject, State};
use fusion_proto::v1;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// A stream of changes.
type Changes = Pin<Box<dyn Stream<Item = Result<v1::DiffWorkspaceResponse, Status>> + Send>>;

/// A longer list is of more than half a million files.
const LIST_BYTES_MAX: usize = 64 << 20;
/// Pieces of at most 64 KiB that wait for the client, and as many for the mask.
const PIECES_MAX: usize = 8;

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
                .filter(|agent| State::sees_agent(caller, agent) && (!ask.own || agent.owner == caller.uid))
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
        let (place, next) = self.inspected(caller, request.into_inner().agent).await?;
        let agent = place.agent;
        let usage = self.runtime.measure(place, next).await;
        let usage = usage.map_err(|error| refuse(&cannot_look(agent, error)))?;
        Ok(Response::new(view::workspace::usage(&usage)))
    }

    type DiffWorkspaceStream = Changes;

    async fn diff_workspace(
        &self,
        request: Request<v1::DiffWorkspaceRequest>,
    ) -> Result<Response<Changes>, Status> {
        let caller = Self::caller(&request)?;
        demand_user(caller, "comparing workspaces").map_err(|reject| refuse(&reject))?;
        let ask = request.into_inner();
        let (place, _) = self.inspected(caller, ask.agent.clone()).await?;
        let list = self.filling(place.agent).await?;
        let mask = self.mask_for(place.agent).await?;
        let asked = Comparison { detail: detail(ask.detail()), list };
        Ok(Response::new(self.changes(place, asked, &mask)))
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

    /// The workspace of an agent that the caller may look into, and what the agent gets next if nothing of it runs.
    async fn inspected(&self, caller: Caller, text: String) -> Result<(Inspected, Option<Next>), Status> {
        let look = move |state: &State, _| {
            let agent = state.find_agent(caller, &text)?;
            let path = agent.spec.recipe.workspace.clone().into();
            let next = Next { incarnation: agent.incarnation, serial: agent.next_serial };
            let next = agent.life.work().is_none().then_some(next);
            Ok((Inspected { agent: agent.id, owner: agent.owner, path }, next))
        };
        self.engine.look(look).await.and_then(|found| found).map_err(|reject| refuse(&reject))
    }

    /// The list of what a workspace was filled with.
    async fn filling(&self, id: AgentId) -> Result<Vec<u8>, Status> {
        let look = move |state: &State, _| state.agent(id).map(|agent| agent.seeded);
        let seeded = self.engine.look(look).await.map_err(|reject| refuse(&reject))?;
        let unreadable = |reason: &str| {
            refuse(&Reject::WorkspaceUnreadable { agent: id.to_string(), reason: reason.to_owned() })
        };
        let (incarnation, serial) = match seeded {
            None | Some(Seeded::Nothing) => return Ok(Vec::new()),
            Some(Seeded::Due | Seeded::Failed) => return Err(unreadable("it has not been filled")),
            Some(Seeded::Done { incarnation, serial }) => (incarnation, serial),
        };
        let log =
            self.runtime.log(id, incarnation, serial).map_err(|error| unreadable(&error.to_string()))?;
        let list = log.output(LIST_BYTES_MAX).await.map_err(|error| unreadable(&error.to_string()))?;
        if list.truncated || list.dropped_bytes > 0 {
            return Err(unreadable("more files were copied into it than can be compared"));
        }
        Ok(list.bytes)
    }

    /// Serves what a comparison tells, masked.
    fn changes(&self, place: Inspected, asked: Comparison, mask: &Mask) -> Changes {
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        let (agent, runtime, masker) = (place.agent, self.runtime.clone(), mask.masker());
        tokio::spawn(async move {
            let (told, pieces) = mpsc::channel::<Vec<u8>>(PIECES_MAX);
            let serve = serve(pieces, masker, &sender);
            let (compared, ()) = tokio::join!(runtime.compare(place, asked, told), serve);
            if let Err(error) = compared {
                let _gone = sender.send(Err(refuse(&cannot_look(agent, error)))).await;
            }
        });
        Box::pin(ReceiverStream::new(receiver))
    }

    /// Puts the owner's name in.
    fn named_workspace(&self, mut workspace: v1::Workspace) -> v1::Workspace {
        workspace.user = self.name_of(&workspace.user);
        workspace
    }
}

/// Until the end, or until the client is gone: `pieces` is closed then.
async fn serve(
    mut pieces: mpsc::Receiver<Vec<u8>>,
    mut masker: Masker,
    sender: &mpsc::Sender<Result<v1::DiffWorkspaceResponse, Status>>,
) {
    while let Some(piece) = pieces.recv().await {
        let mut data = Vec::with_capacity(piece.len());
        masker.push(&piece, &mut |span| data.extend(span.bytes));
        if sender.send(Ok(v1::DiffWorkspaceResponse { data })).await.is_err() {
            return;
        }
    }
    let mut data = Vec::new();
    masker.finish(End::Cut, &mut |span| data.extend(span.bytes));
    if !data.is_empty() {
        let _gone = sender.send(Ok(v1::DiffWorkspaceResponse { data })).await;
    }
}

fn detail(asked: v1::DiffDetail) -> Detail {
    match asked {
        v1::DiffDetail::Unspecified | v1::DiffDetail::Patch => Detail::Patch,
        v1::DiffDetail::Stat => Detail::Stat,
        v1::DiffDetail::NameStatus => Detail::NameStatus,
        v1::DiffDetail::NameOnly => Detail::NameOnly,
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
