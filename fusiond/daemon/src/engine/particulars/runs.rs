//! Events of workflows, runs and nodes: their particulars. Not for: other events (`particulars`).

use super::instant;
use fusion_core::EventKind;
use fusion_core::input::PauseHow;
use fusion_core::workflow::Changes;
use serde_json::{Map, Value, json};

/// The particulars of an event of a run, of a node of one, or of a workflow.
pub(super) fn data(kind: &EventKind) -> Value {
    if let EventKind::WorkflowApplied { name, version, .. } = kind {
        return json!({"name": name, "version": version});
    }
    if let EventKind::RunStarted { workflow, version, .. } = kind {
        return said(json!({"workflow": workflow, "version": (*version > 0).then_some(version)}));
    }
    if let EventKind::RunSucceeded { took, .. } = kind {
        return json!({"took": took.to_string()});
    }
    if let EventKind::RunFailed { code, message, .. } = kind {
        return json!({"code": code, "message": message});
    }
    if let EventKind::RunPaused { how, .. } = kind {
        return said(json!({"frozen": (*how == PauseHow::Freeze).then_some(true)}));
    }
    if let EventKind::RunRerun { generation, .. } = kind {
        return json!({"generation": generation});
    }
    if let EventKind::RunEdited { revision, changes, .. } = kind {
        let Changes { added, changed, removed } = changes;
        return json!({"revision": revision, "added": added, "changed": changed, "removed": removed});
    }
    node(kind)
}

fn node(kind: &EventKind) -> Value {
    if let EventKind::NodeStarted { node, item, task, .. } = kind {
        let task = task.map(|task| task.to_string());
        return said(json!({"node": node, "item": item, "task": task}));
    }
    if let EventKind::NodeWaiting { node, until, .. } = kind {
        return said(json!({"node": node, "until": until.map(instant)}));
    }
    if let EventKind::NodeAsked { node, expires_at, .. } = kind {
        return said(json!({"node": node, "expires": expires_at.map(instant)}));
    }
    if let EventKind::NodeDecided { node, approved, comment, .. } = kind {
        return json!({"node": node, "approved": approved, "comment": comment});
    }
    if let EventKind::NodeRetried { node, item, reason, .. } = kind {
        return said(json!({"node": node, "item": item, "reason": reason}));
    }
    if let EventKind::NodeFailed { node, item, code, message, .. } = kind {
        return said(json!({"node": node, "item": item, "code": code, "message": message}));
    }
    if let EventKind::NodeSkipped { node, reason, .. } = kind {
        return json!({"node": node, "reason": reason});
    }
    if let EventKind::NodeSucceeded { node, item, .. } | EventKind::NodeCancelled { node, item, .. } = kind {
        return said(json!({"node": node, "item": item}));
    }
    json!({})
}

/// Without what is absent.
fn said(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(map.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => value,
    }
}
