//! Prompts that come as a stream: gathered, checked, handed to the engine piece by piece.
//!
//! Not for: how they are kept, and for how long (the engine).

use super::Door;
use super::refuse::refuse;
use super::submit::title_of;
use crate::engine::{Keep, Kept, PIECE_BYTES};
use crate::runtime::InputId;
use fusion_core::{Caller, Reject};
use fusion_proto::v1;
use std::time::Duration;
use tokio::sync::Semaphore;
use tonic::{Status, Streaming};

/// The longest prompt at all.
pub(crate) const STORED_BYTES_MAX: usize = 32 << 20;

/// How many are gathered at once; each takes its length of memory meanwhile. Others wait.
static GATHERING: Semaphore = Semaphore::const_new(4);

/// A client that sends nothing for so long gives its place to others.
const PIECE_WITHIN: Duration = Duration::from_secs(30);

impl Door {
    /// Keeps a prompt for tasks to come; it is on disk when this returns.
    pub(crate) async fn store_prompt(
        &self,
        caller: Caller,
        mut pieces: Streaming<v1::StoreInputRequest>,
    ) -> Result<v1::StoredInput, Status> {
        let _place = GATHERING.acquire().await.map_err(|_closed| refuse(&Reject::Stopping))?;
        let mut prompt = Vec::new();
        let mut user = None;
        while let Some(piece) = next(&mut pieces).await? {
            user.get_or_insert(piece.user);
            prompt.extend_from_slice(&piece.data);
            if prompt.len() > STORED_BYTES_MAX {
                let (bytes, limit) = (prompt.len(), STORED_BYTES_MAX);
                return Err(refuse(&Reject::TooLarge { what: "the prompt", bytes, limit }));
            }
        }
        self.keep_prompt(caller, &user.unwrap_or_default(), &prompt).await.map_err(|reject| refuse(&reject))
    }

    async fn keep_prompt(
        &self,
        caller: Caller,
        user: &str,
        prompt: &[u8],
    ) -> Result<v1::StoredInput, Reject> {
        let (owner, _) = self.owner(caller, user)?;
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

async fn next(
    pieces: &mut Streaming<v1::StoreInputRequest>,
) -> Result<Option<v1::StoreInputRequest>, Status> {
    let next = tokio::time::timeout(PIECE_WITHIN, pieces.message()).await;
    next.unwrap_or_else(|_late| Err(Status::deadline_exceeded("no further piece of the prompt came")))
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
