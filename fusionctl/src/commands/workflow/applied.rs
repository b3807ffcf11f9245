//! Definitions that were applied, by name: `review`, or `review@2` for its second version.
//!
//! Not for: files (`file`), what a run is to do (`revision`).

use fusion_proto::v1::GetWorkflowRequest;
use fusion_workflow::Definition;

use crate::client::Link;
use crate::error::{Complaint, Exit, Stop};

/// Fetches one.
pub(super) async fn find(link: &Link, name: &str) -> Result<Definition, Stop> {
    let request = GetWorkflowRequest { workflow: name.to_owned() };
    let found = link.repeat(async || link.workflows().get_workflow(request.clone()).await).await?;
    let read = fusion_workflow::read_json(&found.definition);
    read.definition.ok_or_else(|| {
        let message = format!("the definition of {name} is not valid any more");
        Complaint::new(Exit::Usage, "workflow_invalid", message).hint("apply it anew").into()
    })
}
