//! The daemon asked as any gRPC tool asks it: the standard services beside its own, and what of its own `fusionctl` has no
//! word for.
//!
//! Not here: everything else of `fusion.v1`; the stories speak to it through `fusionctl`.

use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fusion_proto::v1::task_service_client::TaskServiceClient;
use fusion_proto::v1::{
    CreateAgentRequest, RunTaskRequest, RunTaskResponse, SubmitTaskRequest, TaskState, WaitTasksRequest,
};
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
use tonic_reflection::pb::v1alpha;

/// A daemon in a temporary folder.
struct Served {
    folder: tempfile::TempDir,
    child: Child,
}

impl Served {
    fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = folder.path().join("fusiond.toml");
        std::fs::write(&settings, config).expect("our own folder can be written");
        let notices = folder.path().join("notices");
        let socket = UnixDatagram::bind(&notices).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(40))).expect("a timeout");
        let child = Command::new(env!("CARGO_BIN_EXE_fusiond"))
            .arg("--root")
            .arg(folder.path().join("root"))
            .arg("--config")
            .arg(&settings)
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
    let served = Served::start("");
    let channel = served.channel().await;
    let mut health = HealthClient::new(channel.clone());
    let services = ["Agent", "Task", "Secret", "Workflow", "Event", "Profile", "Workspace", "System"];
    let services = services.map(|noun| format!("fusion.v1.{noun}Service"));
    for service in services.iter().cloned().chain([String::new()]) {
        let answer = health.check(HealthCheckRequest { service: service.clone() }).await;
        assert_eq!(answer.expect("it is known").into_inner().status(), ServingStatus::Serving, "{service}");
    }

    let ask = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let alpha = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(
            v1alpha::server_reflection_request::MessageRequest::ListServices(String::new()),
        ),
    };
    let mut older = v1alpha::server_reflection_client::ServerReflectionClient::new(channel.clone());
    let answers = older.server_reflection_info(tokio_stream::once(alpha)).await;
    answers
        .expect("clients from before it was stable, too")
        .into_inner()
        .next()
        .await
        .expect("one")
        .expect("no error");
    let answers = ServerReflectionClient::new(channel).server_reflection_info(tokio_stream::once(ask)).await;
    let answer = answers.expect("reflection answers").into_inner().next().await;
    let answer = answer.expect("one answer").expect("no error").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(services.iter().all(|service| names.contains(&service.as_str())), "{names:?}");
    assert!(names.contains(&"grpc.health.v1.Health"), "{names:?}");
}

/// Runs `true` with an agent of its own.
fn run(key: &str) -> RunTaskRequest {
    let agent = CreateAgentRequest { profile: "shell".to_owned(), ..CreateAgentRequest::default() };
    let task = SubmitTaskRequest {
        run: vec!["true".to_owned()],
        key: key.to_owned(),
        ..SubmitTaskRequest::default()
    };
    RunTaskRequest { agent: Some(agent), task: Some(task), retention: None }
}

#[tokio::test]
async fn a_run_with_a_key_is_the_same_task_also_when_that_has_left_the_memory() {
    let served = Served::start("[tasks]\nended_in_memory = 1\n");
    let mut tasks = TaskServiceClient::new(served.channel().await);
    let mut first = None;
    for key in ["k", "", ""] {
        let ran = tasks.run_task(run(key)).await.expect("it is accepted").into_inner();
        assert!(ran.on_demand, "{ran:?}");
        let id = ran.task.as_ref().expect("its task").id.clone();
        let ask = WaitTasksRequest { tasks: vec![id], ..WaitTasksRequest::default() };
        let mut ended = tasks.wait_tasks(ask).await.expect("it can be waited for").into_inner();
        let ended = ended.next().await.expect("one end").expect("no error");
        assert_eq!(ended.state(), TaskState::Succeeded, "{ended:?}");
        first.get_or_insert(ran);
    }
    let first = first.expect("the first of three");
    let again = tasks.run_task(run("k")).await.expect("its task is known").into_inner();
    let id = |ran: &RunTaskResponse| ran.task.as_ref().map(|task| task.id.clone());
    assert_eq!((id(&again), &again.agent), (id(&first), &first.agent));
    assert_eq!(again.task.map(|task| task.state()), Some(TaskState::Succeeded));
}
