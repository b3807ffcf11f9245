//! Prompts that are too long for a request: sent ahead as a stream, and then named by their task.
//!
//! Not for: reading them (`submit`, `task_file`).

use fusion_proto::v1::{StoreInputRequest, SubmitTaskRequest};

use crate::client::Link;
use crate::error::Stop;

/// The longest prompt that travels in the request itself, in bytes.
const INLINE_BYTES_MAX: usize = 1 << 20;

/// The longest prompt at all, in bytes.
pub(super) const PROMPT_BYTES_MAX: usize = 32 << 20;

/// What one message of the stream carries.
const PIECE_BYTES: usize = 256 << 10;

/// Whether the prompt must be sent ahead.
pub(super) const fn is_needed(request: &SubmitTaskRequest) -> bool {
    request.prompt.len() > INLINE_BYTES_MAX
}

/// Sends the prompt ahead if that is needed. The same prompt has the same name, so this may be repeated.
pub(crate) async fn send_ahead(link: &Link, request: &mut SubmitTaskRequest) -> Result<(), Stop> {
    if !is_needed(request) {
        return Ok(());
    }
    let stored =
        link.repeat(async || link.tasks().store_input(tokio_stream::iter(pieces(request))).await).await?;
    request.input = stored.input;
    request.prompt = String::new();
    Ok(())
}

fn pieces(request: &SubmitTaskRequest) -> Vec<StoreInputRequest> {
    let piece = |data: &[u8]| StoreInputRequest { user: request.user.clone(), data: data.to_vec() };
    request.prompt.as_bytes().chunks(PIECE_BYTES).map(piece).collect()
}
