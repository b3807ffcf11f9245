//! Names of tasks become ids: in memory by part or key, on disk by the full id.
//!
//! Not for: one task as a whole (`history`), nor which tasks a filter means (`list`).

use super::Door;
use super::refuse::{broken, refusal_of, refuse};
use crate::engine::stored_task;
use fusion_core::{Caller, Reject, State, TaskId, Time};
use fusion_proto::v1;
use tokio_stream::Stream;
use tonic::Status;

/// Names looked for while the engine waits: one that is a part of an id looks at all tasks in memory.
const NAMES_AT_ONCE: usize = 64;

impl Door {
    /// What each name means, in the order of the names.
    pub(crate) async fn find_all(
        &self,
        caller: Caller,
        ask: v1::FindTasksRequest,
    ) -> Result<impl Stream<Item = Result<v1::FindTasksResponse, Status>> + use<>, Status> {
        let found = self.find_each(caller, ask.tasks).await?;
        Ok(tokio_stream::iter(found.into_iter().map(|(task, found)| {
            let (id, refusal) = match found {
                Ok(id) => (id.to_string(), None),
                Err(reject) => (String::new(), Some(refusal_of(&refuse(&reject)))),
            };
            Ok(v1::FindTasksResponse { task, id, refusal })
        })))
    }

    /// The ids of all that are named; one that nothing has is a refusal.
    pub(super) async fn find_ids(&self, caller: Caller, names: Vec<String>) -> Result<Vec<TaskId>, Status> {
        let found = self.find_each(caller, names).await?;
        let ids: Result<Vec<TaskId>, Reject> = found.into_iter().map(|(_, found)| found).collect();
        ids.map_err(|reject| refuse(&reject))
    }

    async fn find_each(
        &self,
        caller: Caller,
        names: Vec<String>,
    ) -> Result<Vec<(String, Result<TaskId, Reject>)>, Status> {
        let mut all = Vec::with_capacity(names.len());
        for names in names.chunks(NAMES_AT_ONCE) {
            let names = names.to_vec();
            let look = move |state: &State, _: Time| -> Vec<_> {
                let find = |name: &String| state.find_task(caller, name).map(|task| task.id);
                names.into_iter().map(|name| (find(&name), name)).map(|(found, name)| (name, found)).collect()
            };
            all.extend(self.engine.look(look).await.map_err(|reject| refuse(&reject))?);
        }
        if all.iter().all(|(_, found)| found.is_ok()) {
            return Ok(all);
        }
        let reader = self.engine.reader().clone();
        let read = tokio::task::spawn_blocking(move || -> Result<Vec<_>, crate::store::ReadError> {
            for (name, found) in &mut all {
                if let (Err(Reject::TaskNotFound { .. }), Some(id)) = (&found, TaskId::parse(name))
                    && stored_task(&reader, id)?.is_some_and(|old| State::sees(caller, old.owner))
                {
                    *found = Ok(id);
                }
            }
            Ok(all)
        });
        let read = read.await.map_err(|error| broken("reading tasks", &error))?;
        read.map_err(|error| broken("reading tasks", &error))
    }
}
