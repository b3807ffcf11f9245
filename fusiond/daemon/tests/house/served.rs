//! The standard services beside the daemon's own, asked as any gRPC tool asks them.
//!
//! Not here: the services of `fusion.v1`; the stories speak to them through `fusionctl`.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio_stream::StreamExt;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

/// A daemon in a temporary folder.
struct Served {
    folder: tempfile::TempDir,
    child: Child,
}

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let notices = folder.path().join("notices");
        let socket = UnixDatagram::bind(&notices).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(40))).expect("a timeout");
        let child = Command::new(env!("CARGO_BIN_EXE_fusiond"))
            .arg("--root")
            .arg(folder.path().join("root"))
            .env("NOTIFY_SOCKET", &notices)
            .stderr(Stdio::null())
            .spawn()
            .expect("the daemon starts");
        let mut notice = [0; 256];
        let count = socket.recv(&mut notice).expect("the daemon says that it is ready");
        assert!(notice[..count].starts_with(b"READY=1"));
        Self { folder, child }
    }

    async fn channel(&self) -> Channel {
        let socket = self.folder.path().join("root/run/fusiond.sock");
        let connect = move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        };
        let endpoint = Endpoint::from_static("http://fusiond");
        endpoint.connect_with_connector(tower::service_fn(connect)).await.expect("the daemon answers")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

#[tokio::test]
async fn health_and_reflection_are_served() {
    let served = Served::start();
    let channel = served.channel().await;
    let health = HealthClient::new(channel.clone()).check(HealthCheckRequest::default()).await;
    assert_eq!(health.expect("health answers").into_inner().status(), ServingStatus::Serving);

    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let answers = ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::once(ask)).await;
    let answer = answers.expect("reflection answers").into_inner().next().await;
    let answer = answer.expect("one answer").expect("no error").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    for noun in ["Agent", "Task", "Event", "Profile", "System"] {
        assert!(names.contains(&format!("fusion.v1.{noun}Service").as_str()), "{names:?}");
    }
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
}
