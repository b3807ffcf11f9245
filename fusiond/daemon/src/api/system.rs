//! The system service: status, doctor, drain, shutdown, backup.
//!
//! Not for: restore, which works without a running daemon (`crate::app`).

use super::refuse::{broken, refuse};
use super::view::timestamp;
use super::{Door, millis};
use crate::health;
use crate::shutdown::{Agents, Ask};
use fusion_core::input::Intake;
use fusion_core::{Caller, Command, Key, Reject, Rights, State};
use fusion_proto::v1;
use std::io::Read;
use std::pin::Pin;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

/// How the copy that a backup streams is named in the state folder.
pub const BACKUP_PREFIX: &str = ".backup-";

/// Size of one piece of a backup.
const CHUNK_BYTES: usize = 256 << 10;

#[tonic::async_trait]
impl v1::system_service_server::SystemService for Door {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::Status>, Status> {
        demand_person(Self::caller(&request)?, "looking at the daemon")?;
        self.status().await.map(Response::new)
    }

    async fn diagnose(
        &self,
        request: Request<v1::DiagnoseRequest>,
    ) -> Result<Response<v1::Diagnosis>, Status> {
        let caller = Self::caller(&request)?;
        demand_person(caller, "looking at the daemon")?;
        let probe = self.probe.clone();
        let checks = tokio::task::spawn_blocking(move || health::checks(&probe)).await;
        let checks = checks.map_err(|error| broken("looking at this machine", &error))?;
        let checks = checks.into_iter().map(|check| v1::Check {
            name: check.name.to_owned(),
            status: check.status.word().to_owned(),
            detail: check.detail,
            remedy: check.remedy,
        });
        let mut checks: Vec<v1::Check> = checks.collect();
        checks.extend(self.programs(caller, request.into_inner().path).await);
        Ok(Response::new(v1::Diagnosis { checks }))
    }

    async fn drain(&self, request: Request<v1::DrainRequest>) -> Result<Response<v1::Status>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let intake = if ask.off { Intake::Open } else { Intake::Closed };
        let done = self.engine.ask(caller, Command::SetIntake(intake), None, |_, _, _| ()).await;
        done.map_err(|reject| refuse(&reject))?;
        if ask.wait && !ask.off {
            self.wait_quiet().await?;
        }
        self.status().await.map(Response::new)
    }

    async fn shutdown(
        &self,
        request: Request<v1::ShutdownRequest>,
    ) -> Result<Response<v1::ShutdownResponse>, Status> {
        demand_admin(Self::caller(&request)?, "stopping the daemon")?;
        let ask = request.into_inner();
        let grace = millis("grace", ask.grace).map_err(|reject| refuse(&reject))?;
        let agents = match ask.agents() {
            v1::AgentsOnShutdown::Stop => Agents::Stop { grace: grace.unwrap_or(super::agents::GRACE) },
            v1::AgentsOnShutdown::Keep | v1::AgentsOnShutdown::Unspecified => Agents::Keep,
        };
        let _first_ask_counts = self.shutdown.try_send(Ask { agents });
        Ok(Response::new(v1::ShutdownResponse {}))
    }

    type BackupStream = Pin<Box<dyn Stream<Item = Result<v1::BackupChunk, Status>> + Send>>;

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        demand_admin(Self::caller(&request)?, "copying the state")?;
        let (sender, stream) = mpsc::channel(4);
        let reader = self.engine.reader().clone();
        let mut name = [0; 8];
        getrandom::fill(&mut name).map_err(|error| broken("naming the backup", &error))?;
        let file = self.paths.state.join(format!("{BACKUP_PREFIX}{:016x}", u64::from_le_bytes(name)));
        tokio::task::spawn_blocking(move || {
            let result = reader.backup(&file).map_err(|error| broken("copying the state", &error));
            let result = result.and_then(|_| send_file(&file, &sender));
            // It lies in a folder of the daemon alone; a crash leaves it to the next start.
            drop(std::fs::remove_file(&file));
            if let Err(status) = result {
                drop(sender.blocking_send(Err(status)));
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

fn send_file(
    file: &std::path::Path,
    sender: &mpsc::Sender<Result<v1::BackupChunk, Status>>,
) -> Result<(), Status> {
    let mut file = std::fs::File::open(file).map_err(|error| broken("reading the copy", &error))?;
    loop {
        let mut data = vec![0; CHUNK_BYTES];
        let count = file.read(&mut data).map_err(|error| broken("reading the copy", &error))?;
        if count == 0 {
            return Ok(());
        }
        data.truncate(count);
        if sender.blocking_send(Ok(v1::BackupChunk { data })).is_err() {
            return Ok(());
        }
    }
}

fn demand_admin(caller: Caller, what: &'static str) -> Result<(), Status> {
    match caller.rights {
        Rights::Admin => Ok(()),
        Rights::User | Rights::Agent(_) => {
            Err(refuse(&Reject::NotPermitted { who: caller.actor().to_string(), what }))
        }
    }
}

fn demand_person(caller: Caller, what: &'static str) -> Result<(), Status> {
    match caller.rights {
        Rights::Admin | Rights::User => Ok(()),
        Rights::Agent(_) => Err(refuse(&Reject::NotPermitted { who: caller.actor().to_string(), what })),
    }
}

impl Door {
    /// Waits until no attempt runs.
    async fn wait_quiet(&self) -> Result<(), Status> {
        loop {
            let next =
                |state: &State, _| state.agents().find_map(|agent| agent.life.work()).map(|work| work.task);
            let Some(id) = self.engine.look(next).await.map_err(|reject| refuse(&reject))? else {
                return Ok(());
            };
            let idle =
                move |state: &State| state.task(id).is_none_or(|task| task.lease().is_none()).then_some(());
            self.engine.wait(Key::Task(id), idle).await.map_err(|reject| refuse(&reject))?;
        }
    }

    async fn status(&self) -> Result<v1::Status, Status> {
        let look = |state: &State, _| {
            let words = |words: &std::collections::BTreeMap<&'static str, u64>| {
                words.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect()
            };
            let index = state.index();
            v1::Status {
                epoch: state.meta.epoch,
                agents: words(&index.agent_words),
                tasks: words(&index.task_words),
                running: index.running,
                max_running: state.config.running_max,
                draining: state.meta.intake == Intake::Closed,
                last_seq: state.seq,
                attention: attention(state),
                ..v1::Status::default()
            }
        };
        let status = self.engine.look(look).await.map_err(|reject| refuse(&reject))?;
        let free = rustix::fs::statvfs(&self.paths.state).map_or(0, |found| found.f_bavail * found.f_frsize);
        Ok(v1::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: self.paths.mode.word().to_owned(),
            start_time: Some(timestamp(self.started_at)),
            pid: std::process::id(),
            backend: self.runtime.probe().backend.to_owned(),
            state_dir: self.paths.state.to_string_lossy().into_owned(),
            free_bytes: free,
            memory_bytes: resident_bytes(),
            recovered: self.recovered.clone(),
            ..status
        })
    }
}

/// What needs somebody, worst first.
fn attention(state: &State) -> Vec<String> {
    let words = |word: &str, count: Option<&u64>, remedy: &str| {
        count.map(|count| format!("{count} {word}: {remedy}"))
    };
    let index = state.index();
    [
        words(
            "agent(s) quarantined",
            index.agent_words.get("quarantined"),
            "`fusionctl agent list --state quarantined`, then `fusionctl agent restart`",
        ),
        words(
            "task(s) lost",
            index.task_words.get("lost"),
            "`fusionctl task list --state lost`, then `fusionctl task resolve`",
        ),
        words("agent(s) in backoff", index.agent_words.get("backoff"), "`fusionctl why AGENT`"),
        (state.meta.intake == Intake::Closed)
            .then(|| "drained: no new attempts begin: `fusionctl system drain --off`".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Resident memory of this process: field 2 of proc_pid_statm(5), in pages.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|field| field.parse().ok()).unwrap_or(0);
    pages * u64::try_from(rustix::param::page_size()).unwrap_or(4096)
}
