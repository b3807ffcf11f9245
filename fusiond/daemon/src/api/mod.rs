//! The doors: gRPC services on the main socket and on every agent's own socket.
//!
//! A door translates and identifies; the core decides. Nothing here keeps state of its own.
//!
//! Not for: rules, words for people beyond those of the wire.

mod agents;
mod ask;
mod change;
mod connect;
mod events;
mod find;
mod history;
mod inner;
mod input;
mod inputs;
mod list;
mod logs;
mod plan;
mod profiles;
mod programs;
mod refuse;
mod results;
mod revisions;
mod secrets;
mod seed;
mod status;
mod subject;
mod submit;
mod system;
mod tasks;
mod view;
mod wait;
mod workflows;
mod workspaces;

pub use connect::{Connection, Origin};
pub use system::BACKUP_PREFIX;

use crate::caller::Names;
use crate::engine::Engine;
use crate::health::Probe;
use crate::paths::Paths;
use crate::reload::Keeper;
use crate::runtime::Runtime;
use crate::vault::Vault;
use fusion_core::{Caller, Reject};
use fusion_proto::v1;
use refuse::refuse;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

/// The largest message that is read: 1 MiB of prompt and what stands around it.
const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// The largest message about workflows: a definition and what stands around it.
const DEFINITION_MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Requests and streams of one connection at once. More wait in the client.
const STREAMS_MAX: u32 = 128;

/// What every service needs.
pub struct Shared {
    /// The one writer.
    pub engine: Engine,
    /// The hands, for logs and for what this machine can enforce.
    pub runtime: Runtime,
    /// Names of users.
    pub names: Names,
    /// Seals and opens values.
    pub vault: Vault,
    /// Settings and profiles in force, and who takes them anew.
    pub keeper: Keeper,
    /// Where things lie.
    pub paths: Paths,
    /// What doctor looks at.
    pub probe: Probe,
    /// When the daemon started, in milliseconds since 1970, and what its start had to mend.
    pub started_at: fusion_core::Time,
    /// Empty, or what was rebuilt.
    pub recovered: String,
    /// True once the daemon is on its way out.
    pub stopping: watch::Receiver<bool>,
    /// Asks the daemon to end.
    pub shutdown: mpsc::Sender<crate::shutdown::Ask>,
}

/// One service per noun; all of them hold the same things.
#[derive(Clone)]
pub(crate) struct Door(Arc<Shared>);

impl std::ops::Deref for Door {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Door {
    /// Who is calling.
    pub(crate) fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
        let origin = request.extensions().get::<Origin>().cloned();
        let origin = origin.unwrap_or_else(|| Origin::unknown("the connection carries no identity"));
        origin.caller().map_err(|reject| refuse(&reject))
    }

    /// The name of a user, for people.
    pub(crate) fn name_of(&self, uid: &str) -> String {
        uid.parse().map_or_else(|_| uid.to_owned(), |uid| self.names.name(uid))
    }

    /// Puts the owner's name in.
    pub(crate) fn named_agent(&self, mut agent: v1::Agent) -> v1::Agent {
        agent.user = self.name_of(&agent.user);
        agent
    }

    /// Puts the owner's name in.
    pub(crate) fn named_task(&self, mut task: v1::Task) -> v1::Task {
        task.user = self.name_of(&task.user);
        task
    }
}

/// All services, by the names that `grpc.health.v1` is asked for.
const SERVICES: [&str; 8] = [
    v1::agent_service_server::SERVICE_NAME,
    v1::task_service_server::SERVICE_NAME,
    v1::secret_service_server::SERVICE_NAME,
    v1::workflow_service_server::SERVICE_NAME,
    v1::event_service_server::SERVICE_NAME,
    v1::profile_service_server::SERVICE_NAME,
    v1::workspace_service_server::SERVICE_NAME,
    v1::system_service_server::SERVICE_NAME,
];

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(fusion_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Serves all connections until `stop` resolves.
///
/// # Errors
/// When the transport cannot be set up.
pub async fn serve(
    shared: Shared,
    connections: mpsc::Receiver<Connection>,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let door = Door(Arc::new(shared));
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in [""].into_iter().chain(SERVICES) {
        health.set_service_status(service, tonic_health::ServingStatus::Serving).await;
    }
    // Clients that are some years old ask by the name from before it was stable.
    let (reflection, reflection_alpha) = (reflection().build_v1(), reflection().build_v1alpha());
    let reflection = reflection.expect("the generated descriptor set is valid");
    let reflection_alpha = reflection_alpha.expect("the generated descriptor set is valid");
    let incoming = tokio_stream::StreamExt::map(ReceiverStream::new(connections), Ok::<_, std::io::Error>);
    // No keepalive: the kernel closes what a process that ends had open, and a ping would wake an idle daemon.
    tonic::transport::Server::builder()
        .max_concurrent_streams(STREAMS_MAX)
        .add_service(health_service)
        .add_service(reflection)
        .add_service(reflection_alpha)
        .add_service(
            v1::agent_service_server::AgentServiceServer::new(door.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            v1::task_service_server::TaskServiceServer::new(door.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            v1::secret_service_server::SecretServiceServer::new(door.clone())
                .max_decoding_message_size(MESSAGE_BYTES_MAX),
        )
        .add_service(
            v1::workflow_service_server::WorkflowServiceServer::new(door.clone())
                .max_decoding_message_size(DEFINITION_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(DEFINITION_MESSAGE_BYTES_MAX),
        )
        .add_service(v1::event_service_server::EventServiceServer::new(door.clone()))
        .add_service(v1::profile_service_server::ProfileServiceServer::new(door.clone()))
        .add_service(v1::workspace_service_server::WorkspaceServiceServer::new(door.clone()))
        .add_service(v1::system_service_server::SystemServiceServer::new(door))
        .serve_with_incoming_shutdown(incoming, stop)
        .await
}

/// A page of a list: `size` clamped to 1..=1000, 100 when unset.
pub(crate) fn page_size(asked: i32) -> usize {
    match usize::try_from(asked) {
        Ok(0) | Err(_) => 100,
        Ok(size) => size.min(1000),
    }
}

impl Door {
    /// Between SIGTERM and the kill: what was asked for, or what the settings say now.
    fn grace(&self, asked: Option<prost_types::Duration>) -> Result<fusion_core::Millis, Reject> {
        let configured = || self.keeper.in_force().config.runtime.grace;
        Ok(millis("grace", asked)?.unwrap_or_else(configured))
    }
}

/// A duration of the wire in milliseconds.
pub(crate) fn millis(
    field: &'static str,
    span: Option<prost_types::Duration>,
) -> Result<Option<fusion_core::Millis>, Reject> {
    let Some(span) = span else { return Ok(None) };
    let invalid = || Reject::FieldInvalid {
        field,
        value: format!("{}s", span.seconds),
        expected: "a duration from 0 to 10 years",
    };
    let seconds = u64::try_from(span.seconds).map_err(|_| invalid())?;
    let nanos = u64::try_from(span.nanos).map_err(|_| invalid())?;
    if seconds > 315_360_000 || nanos >= 1_000_000_000 {
        return Err(invalid());
    }
    Ok(Some(fusion_core::Millis(seconds * 1000 + nanos.div_ceil(1_000_000))))
}
