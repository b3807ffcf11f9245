//! Whether somebody works on a task file already: two runs would do its open tasks twice.
//!
//! Not for: what a run does with the file (the daemon ticks its boxes).

use std::path::Path;

use fusion_proto::v1::{GetRunRevisionRequest, ListRunsRequest, RunState};
use serde_json::Value;

use crate::client::Link;
use crate::error::{Complaint, Exit, Stop};

/// Runs that are looked at.
const RUNS: i32 = 100;

/// Refuses where a run that has not ended is of the same file.
pub(super) async fn check(link: &Link, shown: &Path, definition: &Value) -> Result<(), Stop> {
    let label = |name: &str| definition["labels"][name].as_str().unwrap_or_default().to_owned();
    let request = ListRunsRequest {
        page_size: RUNS,
        states: vec![RunState::Running.into(), RunState::Paused.into()],
        labels: [("speckit".to_owned(), label("speckit"))].into(),
        ..ListRunsRequest::default()
    };
    let page = link.repeat(async || link.workflows().list_runs(request.clone()).await).await?;
    for run in page.runs {
        let request = GetRunRevisionRequest { run: run.id.clone(), revision: 0 };
        let found = link.repeat(async || link.workflows().get_run_revision(request.clone()).await).await?;
        let other: Value = serde_json::from_str(&found.definition).unwrap_or_default();
        if other["tasks_file"] == definition["tasks_file"] {
            let message = format!("{} is worked on by {}, which has not ended", shown.display(), run.id);
            let hint =
                "`fusionctl workflow show --wait RUN` follows it, `fusionctl workflow cancel RUN` ends it";
            return Err(Complaint::new(Exit::Refused, "tasks_file_busy", message).hint(hint).into());
        }
    }
    Ok(())
}
