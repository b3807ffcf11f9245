//! Frames and record files: how the words of `wire` become bytes and back. Not here: the words themselves.
//!
//! A frame is a `u32` in little endian, the length of the body, then the body in postcard. A record file is such
//! a body alone.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest body of a frame in bytes; a longer one is an error and ends the connection.
pub const FRAME_BYTES_MAX: usize = 4 << 20;

/// Bytes that are no frame or no record of this protocol.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The body is longer than [`FRAME_BYTES_MAX`].
    #[error("a frame of {bytes} bytes is longer than the limit of {FRAME_BYTES_MAX}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The body is not the expected value.
    #[error("a frame or record cannot be read as protocol {}", crate::wire::PROTOCOL)]
    Malformed(#[source] postcard::Error),
}

/// Appends `value` as one frame to `out`. On an error `out` is as before.
///
/// # Errors
/// [`FrameError::TooLong`] for a body beyond [`FRAME_BYTES_MAX`].
pub fn encode_frame<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let body = postcard::serialize_with_flavor(value, Appending(out)).map_err(FrameError::Malformed);
    let bytes = out.len() - start - 4;
    let outcome = match body {
        Err(error) => Err(error),
        Ok(()) if bytes > FRAME_BYTES_MAX => Err(FrameError::TooLong { bytes }),
        Ok(()) => Ok(()),
    };
    match outcome {
        Ok(()) => {
            let length = u32::try_from(bytes).expect("FRAME_BYTES_MAX fits in 32 bits");
            out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        }
        Err(_) => out.truncate(start),
    }
    outcome
}

/// Reads one frame from the front of `bytes`: the value and the bytes it took, or `None` if it is not complete.
///
/// # Errors
/// [`FrameError`] if the bytes are no frame; the connection cannot be used any more.
pub fn decode_frame<T: DeserializeOwned>(bytes: &[u8]) -> Result<Option<(T, usize)>, FrameError> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = usize::try_from(u32::from_le_bytes(*head)).expect("usize holds 32 bits on Linux");
    if length > FRAME_BYTES_MAX {
        return Err(FrameError::TooLong { bytes: length });
    }
    let Some(body) = rest.get(..length) else { return Ok(None) };
    Ok(Some((decode_record(body)?, length + 4)))
}

/// The bytes of a record file (`spec`, `started.<k>`, `exit.<k>`).
///
/// # Errors
/// [`FrameError::Malformed`] if the value cannot be written.
pub fn encode_record<T: Serialize>(value: &T) -> Result<Vec<u8>, FrameError> {
    postcard::to_stdvec(value).map_err(FrameError::Malformed)
}

/// Reads a whole record file.
///
/// # Errors
/// [`FrameError::Malformed`] if the bytes are no such record.
pub fn decode_record<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    postcard::from_bytes(bytes).map_err(FrameError::Malformed)
}

/// A postcard output that appends to a vector in use.
struct Appending<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Appending<'_> {
    type Output = ();

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
