//! Prompts that come as a stream: gathered, checked, handed to the engine piece by piece.
//!
//! Not for: how they are kept, and for how long (the engine).

use super::Door;
use super::refuse::refuse;
use super::submit::title_of;
use crate::engine::{Keep, Kept, PIECE_BYTES};
use crate::runtime::InputId;
use crate::turns::Turns;
use fusion_core::{Caller, Reject, Uid};
use fusion_proto::v1;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Status, Streaming};

/// The longest prompt at all.
pub(crate) const STORED_BYTES_MAX: usize = 32 << 20;

/// How many of one user are gathered at once, and of all; each takes its length of memory meanwhile. Others wait.
static GATHERING: Turns = Turns::new(1);
static GATHERING_OF_ALL: Semaphore = Semaphore::const_new(8);

/// A client gives its place to others when it has sent nothing for so long, or, with that to begin with, less than this.
const PATIENCE: Duration = Duration::from_secs(30);
/// It holds its user's turn from its beginning on.
const PATIENCE_AT_FIRST: Duration = Duration::from_secs(5);
const BYTES_PER_SECOND_MIN: u64 = 128 << 10;

impl Door {
    /// Keeps a prompt for tasks to come; it is on disk when this returns.
    pub(crate) async fn store_prompt(
        &self,
        caller: Caller,
        mut pieces: Streaming<v1::StoreInputRequest>,
    ) -> Result<v1::StoredInput, Status> {
        // Nothing is in memory while it waits, and the user's own comes first: nobody waits for it while they hold a place
        // of all.
        let _turn = GATHERING.take(caller.uid).await;
        let first = next(&mut pieces, Instant::now() + PATIENCE_AT_FIRST).await?;
        let first = first.ok_or_else(|| refuse(&Reject::FieldMissing { field: "data" }))?;
        let (owner, _) = self.owner(caller, &first.user).map_err(|reject| refuse(&reject))?;
        let _place = GATHERING_OF_ALL.acquire().await.map_err(|_closed| refuse(&Reject::Stopping))?;
        let prompt = gather(first, &mut pieces).await?;
        self.keep_prompt(owner, &prompt).await.map_err(|reject| refuse(&reject))
    }

    async fn keep_prompt(&self, owner: Uid, prompt: &[u8]) -> Result<v1::StoredInput, Reject> {
        let title = title_of(check_text(prompt)?);
        let id = InputId::of(owner, prompt);
        let bytes = u32::try_from(prompt.len()).expect("at most STORED_BYTES_MAX");
        let stored = v1::StoredInput { input: id.to_string(), bytes: bytes.into() };
        if self.engine.keep(id, Keep::Begin { owner, bytes, title }).await? == Kept::Whole {
            return Ok(stored);
        }
        for (piece, number) in prompt.chunks(PIECE_BYTES).zip(0..) {
            self.engine.keep(id, Keep::Piece { number, bytes: piece.to_vec() }).await?;
        }
        self.engine.keep(id, Keep::End).await?;
        Ok(stored)
    }
}

/// All pieces, as long as they come fast enough on the whole.
async fn gather(
    first: v1::StoreInputRequest,
    pieces: &mut (impl Stream<Item = Result<v1::StoreInputRequest, Status>> + Unpin),
) -> Result<Vec<u8>, Status> {
    let (begun, mut prompt, mut piece) = (Instant::now(), Vec::new(), Some(first));
    while let Some(found) = piece {
        if found.data.is_empty() {
            return Err(refuse(&Reject::FieldMissing { field: "data" }));
        }
        prompt.extend_from_slice(&found.data);
        let (bytes, limit) = (prompt.len(), STORED_BYTES_MAX);
        if bytes > limit {
            return Err(refuse(&Reject::TooLarge { what: "the prompt", bytes, limit }));
        }
        piece = next(pieces, begun + time_for(bytes)).await?;
    }
    Ok(prompt)
}

/// By when the piece behind so many bytes must be there, from the beginning on.
fn time_for(bytes: usize) -> Duration {
    PATIENCE + Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX) / BYTES_PER_SECOND_MIN)
}

async fn next(
    pieces: &mut (impl Stream<Item = Result<v1::StoreInputRequest, Status>> + Unpin),
    until: Instant,
) -> Result<Option<v1::StoreInputRequest>, Status> {
    let next = tokio::time::timeout_at(until, pieces.next()).await;
    let late = |_| Status::deadline_exceeded("the prompt does not come fast enough");
    next.map_err(late)?.transpose()
}

fn check_text(prompt: &[u8]) -> Result<&str, Reject> {
    if prompt.is_empty() {
        return Err(Reject::FieldMissing { field: "data" });
    }
    if prompt.contains(&0) {
        return Err(Reject::NulByte { what: "the prompt".to_owned() });
    }
    std::str::from_utf8(prompt).map_err(|error| Reject::FieldInvalid {
        field: "data",
        value: format!("byte {}", error.valid_up_to()),
        expected: "UTF-8 text",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic::Code;

    fn piece(data: &str) -> v1::StoreInputRequest {
        v1::StoreInputRequest { user: String::new(), data: data.into() }
    }

    async fn gathered(pieces: &[&str]) -> Result<Vec<u8>, Code> {
        let rest: Vec<_> = pieces[1..].iter().map(|data| Ok(piece(data))).collect();
        gather(piece(pieces[0]), &mut tokio_stream::iter(rest)).await.map_err(|status| status.code())
    }

    #[tokio::test]
    async fn pieces_that_hold_nothing_keep_no_place() {
        assert_eq!(gathered(&["a", "bc"]).await, Ok(b"abc".to_vec()));
        for pieces in [&[""][..], &["a", ""], &["a", "", "b"]] {
            assert_eq!(gathered(pieces).await, Err(Code::InvalidArgument));
        }
        let long = "x".repeat(4 << 20);
        assert_eq!(gathered(&[long.as_str(); 9]).await, Err(Code::InvalidArgument));
    }

    #[tokio::test]
    async fn the_whole_has_a_time_that_pieces_without_end_do_not_make_longer() {
        assert_eq!(time_for(1), PATIENCE);
        assert_eq!(time_for(STORED_BYTES_MAX), Duration::from_secs(30 + 256));
        let late = next(&mut tokio_stream::pending(), Instant::now()).await.expect_err("nothing comes");
        assert_eq!(late.code(), Code::DeadlineExceeded);
    }
}
