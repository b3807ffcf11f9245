//! The raw probe: what one durable gRPC call costs when nothing else is done. A health check over a Unix socket whose
//! handler appends 300 bytes to a file and syncs them.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Mutex;

use anyhow::Context as _;
use tokio::net::UnixListener;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::client::channel;
use crate::shell;

/// About what a submitted task takes in a journal.
const RECORD_BYTES: usize = 300;

struct Durable {
    file: Mutex<File>,
}

#[tonic::async_trait]
impl Health for Durable {
    async fn check(&self, _: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        // Blocking here is the point: no hand-over to another thread is part of the raw cost.
        let mut file = self.file.lock().map_err(|_| Status::internal("poisoned"))?;
        file.write_all(&[b'x'; RECORD_BYTES]).and_then(|()| file.sync_data())?;
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    type WatchStream = tokio_stream::Empty<Result<HealthCheckResponse, Status>>;

    async fn watch(&self, _: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("the probe only checks"))
    }
}

/// Serves the probe until its standard input ends.
///
/// # Errors
///
/// When socket or file cannot be made.
pub(crate) fn serve(socket: &str, file: &str) -> anyhow::Result<()> {
    let file = File::options().create(true).append(true).open(file).context("cannot open the file")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = UnixListener::bind(socket).context("cannot bind the socket")?;
        shell::say("ready\n");
        let service = HealthServer::new(Durable { file: Mutex::new(file) });
        let server = Server::builder().add_service(service);
        server.serve_with_incoming(UnixListenerStream::new(listener)).await.context("the server ended")
    })
}

/// A probe in a process of its own, as the daemon is one.
pub(crate) struct Probe {
    child: Child,
    client: HealthClient<Channel>,
}

impl Probe {
    /// Starts it with its file in `folder`.
    pub(crate) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let [socket, file] = ["probe.sock", "probe.data"].map(|name| folder.join(name));
        let own: PathBuf = std::env::current_exe()?;
        let mut command = shell::command(own);
        command.args(["bench", "probe"]).arg(&socket).arg(file).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the probe")?;
        let mut line = [0; 6];
        std::io::Read::read_exact(child.stdout.as_mut().context("stdout is a pipe")?, &mut line)?;
        let client = HealthClient::new(channel(&socket).await?);
        Ok(Self { child, client })
    }

    /// One durable round trip.
    pub(crate) async fn call(&mut self) -> anyhow::Result<()> {
        self.client.check(HealthCheckRequest::default()).await?;
        Ok(())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
