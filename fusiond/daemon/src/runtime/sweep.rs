//! The start of the daemon: ends what nobody wants.
use super::Shared;
use std::sync::Arc;
pub(super) fn begin(_shared: &Arc<Shared>, _known: &[(fusion_core::AgentId, u32)]) {}
