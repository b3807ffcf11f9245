//! The system service: status, doctor, drain, shutdown, backup.
//!
//! Not for: restore, which works without a running daemon (`crate::app`).

use super::Door;
use super::refuse::{broken, refuse};
use crate::health;
use crate::shutdown::{Agents, Ask};
use crate::turns::Turns;
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

/// Diagnoses of one user at once.
static DIAGNOSES: Turns = Turns::new(1);

#[tonic::async_trait]
impl v1::system_service_server::SystemService for Door {
    async fn get_status(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::Status>, Status> {
        let caller = Self::caller(&request)?;
        demand_person(caller, "looking at the daemon")?;
        self.status(caller).await.map(Response::new)
    }

    async fn diagnose(
        &self,
        request: Request<v1::DiagnoseRequest>,
    ) -> Result<Response<v1::Diagnosis>, Status> {
        let caller = Self::caller(&request)?;
        demand_person(caller, "looking at the daemon")?;
        let turn = DIAGNOSES.take(caller.uid).await;
        let probe = self.probe.clone();
        // The turn goes on as long as the work does, also when nobody waits for the answer any more.
        let work = move || (health::checks(&probe), turn);
        let checks = tokio::task::spawn_blocking(work).await;
        let (checks, _turn) = checks.map_err(|error| broken("looking at this machine", &error))?;
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
        self.status(caller).await.map(Response::new)
    }

    async fn shutdown(
        &self,
        request: Request<v1::ShutdownRequest>,
    ) -> Result<Response<v1::ShutdownResponse>, Status> {
        demand_admin(Self::caller(&request)?, "stopping the daemon")?;
        let ask = request.into_inner();
        let grace = self.grace(ask.grace).map_err(|reject| refuse(&reject))?;
        let agents = match ask.agents() {
            v1::AgentsOnShutdown::Stop => Agents::Stop { grace },
            v1::AgentsOnShutdown::Keep | v1::AgentsOnShutdown::Unspecified => Agents::Keep,
        };
        let _first_ask_counts = self.shutdown.try_send(Ask { agents });
        Ok(Response::new(v1::ShutdownResponse {}))
    }

    async fn reload(
        &self,
        request: Request<v1::ReloadRequest>,
    ) -> Result<Response<v1::ReloadResponse>, Status> {
        demand_admin(Self::caller(&request)?, "reloading the configuration")?;
        let report = self.keeper.reload().await.map_err(|reject| refuse(&reject))?;
        Ok(Response::new(v1::ReloadResponse {
            taken: report.changes.taken,
            waiting: report.changes.waiting,
            notes: report.notes,
            profiles: u32::try_from(report.profiles).unwrap_or(u32::MAX),
        }))
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
}
