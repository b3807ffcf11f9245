//! A way to the daemon without a process for each call, for measuring. Not here: what is measured.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use fusion_proto::v1::agent_service_client::AgentServiceClient;
use fusion_proto::v1::event_service_client::EventServiceClient;
use fusion_proto::v1::system_service_client::SystemServiceClient;
use fusion_proto::v1::task_service_client::TaskServiceClient;
use fusion_proto::v1::{
    Agent, DrainRequest, Event, GetStatusRequest, GetTaskRequest, ListAgentsRequest, PauseAgentRequest,
    ResumeAgentRequest, Status, SubmitTaskRequest, Task, WaitTasksRequest, WatchEventsRequest,
};
use tokio::runtime::Runtime;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

/// A blocking client of one daemon.
pub(crate) struct Client {
    runtime: Runtime,
    agents: AgentServiceClient<Channel>,
    system: SystemServiceClient<Channel>,
    tasks: TaskServiceClient<Channel>,
}

impl Client {
    pub(crate) fn connect(socket: &Path) -> anyhow::Result<Self> {
        let runtime = runtime()?;
        let channel = runtime.block_on(channel(socket))?;
        let agents = AgentServiceClient::new(channel.clone());
        let system = SystemServiceClient::new(channel.clone());
        let tasks = TaskServiceClient::new(channel);
        Ok(Self { runtime, agents, system, tasks })
    }

    /// Lets attempts start again.
    pub(crate) fn open_intake(&mut self) -> anyhow::Result<()> {
        let request = DrainRequest { off: true, wait: false };
        self.runtime.block_on(self.system.drain(request)).context("the drain cannot be lifted")?;
        Ok(())
    }

    pub(crate) fn status(&mut self) -> anyhow::Result<Status> {
        Ok(self
            .runtime
            .block_on(self.system.get_status(GetStatusRequest {}))
            .context("no status")?
            .into_inner())
    }

    /// The agents that are not terminated; up to one page of them.
    pub(crate) fn agents(&mut self) -> anyhow::Result<Vec<Agent>> {
        let request = ListAgentsRequest { page_size: 500, ..ListAgentsRequest::default() };
        Ok(self
            .runtime
            .block_on(self.agents.list_agents(request))
            .context("no list of agents")?
            .into_inner()
            .agents)
    }

    /// Freezes an agent; returns when its tree stands still.
    pub(crate) fn pause(&mut self, agent: &str) -> anyhow::Result<()> {
        let request = PauseAgentRequest { agent: agent.to_owned(), drain: false };
        self.runtime.block_on(self.agents.pause_agent(request)).context("the agent cannot be paused")?;
        Ok(())
    }

    /// Lets a frozen agent go on.
    pub(crate) fn resume(&mut self, agent: &str) -> anyhow::Result<()> {
        let request = ResumeAgentRequest { agent: agent.to_owned() };
        self.runtime.block_on(self.agents.resume_agent(request)).context("the agent cannot be resumed")?;
        Ok(())
    }

    pub(crate) fn submit(&mut self, request: SubmitTaskRequest) -> anyhow::Result<Task> {
        Ok(self
            .runtime
            .block_on(self.tasks.submit_task(request))
            .context("the task was refused")?
            .into_inner())
    }

    pub(crate) fn task(&mut self, id: &str) -> anyhow::Result<Task> {
        let request = GetTaskRequest { task: id.to_owned() };
        Ok(self
            .runtime
            .block_on(self.tasks.get_task(request))
            .context("the task cannot be shown")?
            .into_inner())
    }

    /// Waits until the task `id` has ended.
    pub(crate) fn wait(&mut self, id: &str) -> anyhow::Result<()> {
        let request = WaitTasksRequest { tasks: vec![id.to_owned()], ..WaitTasksRequest::default() };
        let tasks = &mut self.tasks;
        self.runtime.block_on(async {
            let mut stream = tasks.wait_tasks(request).await?.into_inner();
            let next = tokio::time::timeout(Duration::from_secs(300), stream.message()).await;
            next.context("the task did not end within 300 s")??.context("the wait ended without the task")?;
            Ok(())
        })
    }
}

/// A stream of events as they are sent.
pub(crate) struct Events {
    runtime: Runtime,
    stream: Streaming<Event>,
}

impl Events {
    /// Those after the sequence number, stored ones first.
    pub(crate) fn since(socket: &Path, seq: u64) -> anyhow::Result<Self> {
        Self::open(socket, Some(seq))
    }

    /// Those from now on.
    pub(crate) fn now(socket: &Path) -> anyhow::Result<Self> {
        Self::open(socket, None)
    }

    fn open(socket: &Path, since_seq: Option<u64>) -> anyhow::Result<Self> {
        let runtime = runtime()?;
        let stream = runtime.block_on(async {
            let mut client = EventServiceClient::new(channel(socket).await?);
            let request = WatchEventsRequest { since_seq, ..WatchEventsRequest::default() };
            anyhow::Ok(client.watch_events(request).await.context("no events")?.into_inner())
        })?;
        Ok(Self { runtime, stream })
    }

    /// The next event that is meant; others are passed over.
    pub(crate) fn expect(&mut self, is_meant: impl Fn(&Event) -> bool) -> anyhow::Result<Event> {
        let stream = &mut self.stream;
        self.runtime.block_on(async {
            loop {
                let next = tokio::time::timeout(Duration::from_secs(60), stream.message()).await;
                let event = next.context("no such event within 60 s")??.context("the events ended")?;
                if is_meant(&event) {
                    return Ok(event);
                }
            }
        })
    }
}

/// One thread is enough for one caller, and disturbs the measured least.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")
}

/// A connection to the Unix socket at `socket`.
pub(crate) async fn channel(socket: &Path) -> anyhow::Result<Channel> {
    let address = format!("unix://{}", socket.display());
    let endpoint = Endpoint::from_shared(address).context("the socket's path is no address")?;
    endpoint.connect().await.with_context(|| format!("cannot reach {}", socket.display()))
}
