//! From a refusal to a gRPC status: code by class, `google.rpc.ErrorInfo` with the stable reason, and
//! the hint.
//!
//! Not for: the words of a refusal (`fusion_core::reject`).

use fusion_core::Reject;
use fusion_core::reject::Class;
use fusion_proto::v1;
use std::collections::HashMap;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The domain of every reason.
const DOMAIN: &str = "fusion";

/// The code of the wire for a refusal.
pub(crate) fn status_code(reject: &Reject) -> Code {
    match reject.class() {
        Class::Invalid => Code::InvalidArgument,
        Class::NotFound => Code::NotFound,
        Class::State => Code::FailedPrecondition,
        Class::Permission => Code::PermissionDenied,
        Class::Limit => Code::ResourceExhausted,
        Class::Exists => Code::AlreadyExists,
        Class::Unavailable => Code::Unavailable,
    }
}

/// The longest name that is repeated, in characters: what is said travels in a header of 16 KiB.
const NAME_CHARS_MAX: usize = 200;

/// The longest sentence, in characters.
const SENTENCE_CHARS_MAX: usize = 2000;

/// What is said, with long names that a caller gave cut.
fn cut(text: String) -> String {
    if text.len() <= NAME_CHARS_MAX {
        return text;
    }
    let (mut kept, mut word) = (String::new(), 0);
    for letter in text.chars().take(SENTENCE_CHARS_MAX) {
        word = if letter.is_whitespace() { 0 } else { word + 1 };
        match word {
            0..=NAME_CHARS_MAX => kept.push(letter),
            _ if word == NAME_CHARS_MAX + 1 => kept.push('…'),
            _ => {}
        }
    }
    if text.chars().nth(SENTENCE_CHARS_MAX).is_some() && !kept.ends_with('…') {
        kept.push('…');
    }
    kept
}

/// The status that a caller gets.
pub(crate) fn refuse(reject: &Reject) -> Status {
    let mut metadata = HashMap::from([("hint".to_owned(), cut(reject.hint()))]);
    if !reject.detail().is_empty() {
        metadata.insert("detail".to_owned(), reject.detail().to_owned());
    }
    let details = ErrorDetails::with_error_info(reject.code(), DOMAIN, metadata);
    Status::with_error_details(status_code(reject), cut(reject.to_string()), details)
}

/// A bug or a disk that does not answer: not the caller's fault.
pub(crate) fn broken(what: &str, error: &dyn std::error::Error) -> Status {
    tracing::error!(what, "request failed: {error}");
    let metadata = HashMap::from([("hint".to_owned(), "the daemon's log tells more".to_owned())]);
    let details = ErrorDetails::with_error_info("internal", DOMAIN, metadata);
    Status::with_error_details(Code::Internal, format!("{what}: {error}"), details)
}

/// The same beside others, where one of several is refused.
pub(crate) fn refusal_of(status: &Status) -> v1::Refusal {
    let mut failure = v1::Failure { message: status.message().to_owned(), ..v1::Failure::default() };
    if let Some(info) = status.get_details_error_info() {
        failure.hint = info.metadata.get("hint").cloned().unwrap_or_default();
        failure.code = info.reason;
    }
    v1::Refusal { status: status.code().into(), failure: Some(failure) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_too_long_is_not_repeated_in_full() {
        let refused = |task: String| refuse(&Reject::TaskNotFound { task }).message().to_owned();
        assert_eq!(refused("x".to_owned()), "no task \"x\"");
        let long = refused("x".repeat(100_000));
        assert_eq!(long.chars().count(), "no task ".len() + NAME_CHARS_MAX + "…".chars().count());
        assert!(refused("x ".repeat(50_000)).chars().count() <= SENTENCE_CHARS_MAX + 1);
    }
}
