//! Events, as the wire shows them.
//!
//! Not for: their particulars (`engine::particulars`), reading them from the store.

use super::timestamp;
use crate::engine::particulars;
use fusion_core::Event;
use fusion_proto::v1;

/// The whole event.
pub(crate) fn event(event: &Event) -> v1::Event {
    v1::Event {
        seq: event.seq,
        time: Some(timestamp(event.at)),
        r#type: event.kind.word().to_owned(),
        actor: event.actor.to_string(),
        subject: event.kind.subject().to_string(),
        data: serde_json::Value::Object(particulars::of(&event.kind)).to_string(),
        user: event.owner.map(|uid| uid.0.to_string()).unwrap_or_default(),
    }
}
