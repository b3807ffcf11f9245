//! What `agent spawn --from` names, checked as a text: what it leads to is looked at as the agent's user, later.
//!
//! Not for: reading it (`fusion-shim seed`).

use fusion_core::Reject;
use fusion_core::workspace::{Seed, SeedHow};
use fusion_proto::v1;

/// The longest path that Linux takes; longer URLs are nobody's.
const SOURCE_BYTES_MAX: usize = 4096;
/// Names of branches are files of git.
const REFERENCE_BYTES_MAX: usize = 255;

/// What is asked for, if anything.
pub(super) fn plan(asked: Option<v1::WorkspaceSeed>) -> Result<Option<Seed>, Reject> {
    let Some(v1::WorkspaceSeed { source, reference, worktree }) = asked else { return Ok(None) };
    check_text("from", &source, SOURCE_BYTES_MAX)?;
    if !reference.is_empty() {
        check_text("from", &reference, REFERENCE_BYTES_MAX)?;
    }
    if source.is_empty() || !(source.starts_with('/') || is_url(&source)) {
        return Err(invalid(&source, "an absolute path, or a URL that git knows"));
    }
    if worktree && !source.starts_with('/') {
        return Err(invalid(&source, "a repository on this machine, for a worktree"));
    }
    if has_password(&source) {
        // Not repeated: it would stand in logs from now on.
        return Err(invalid(
            "…",
            "a URL without name and password: git asks the credential helper of the user",
        ));
    }
    let how = if worktree { SeedHow::Worktree } else { SeedHow::Clone };
    Ok(Some(Seed { source, reference, how }))
}

fn check_text(field: &'static str, text: &str, limit: usize) -> Result<(), Reject> {
    if text.contains('\0') {
        return Err(Reject::NulByte { what: field.to_owned() });
    }
    if text.len() > limit {
        return Err(Reject::TooLarge { what: field, bytes: text.len(), limit });
    }
    if text.starts_with('-') || text.chars().any(char::is_control) {
        return Err(invalid(text, "no dash at the front, no control characters"));
    }
    Ok(())
}

fn invalid(value: &str, expected: &'static str) -> Reject {
    Reject::FieldInvalid { field: "from", value: value.to_owned(), expected }
}

/// `scheme://…`, or `host:path` as ssh has it.
fn is_url(text: &str) -> bool {
    if let Some((scheme, rest)) = text.split_once("://") {
        let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte);
        return !scheme.is_empty() && scheme.bytes().all(is_word) && !rest.is_empty();
    }
    text.split_once(':')
        .is_some_and(|(host, path)| !host.is_empty() && !host.contains('/') && !path.is_empty())
}

/// What stands before the `@` of a URL would be readable for every user while git runs. A name alone is how ssh is told
/// whom to be; for http it often is a token.
fn has_password(source: &str) -> bool {
    let Some((scheme, rest)) = source.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((login, _)) = authority.rsplit_once('@') else { return false };
    login.contains(':') || scheme.starts_with("http")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(source: &str, reference: &str, worktree: bool) -> &'static str {
        let seed = v1::WorkspaceSeed { source: source.to_owned(), reference: reference.to_owned(), worktree };
        plan(Some(seed)).err().map_or("", |reject| reject.code())
    }

    #[test]
    fn paths_and_urls_are_taken() {
        for source in
            ["/srv/a", "https://example.org/a.git", "ssh://git@example.org/a", "git@example.org:a.git"]
        {
            assert_eq!(code(source, "main", false), "", "{source}");
        }
        assert_eq!(plan(None), Ok(None));
        assert_eq!(code("/srv/a", "", true), "");
    }

    #[test]
    fn options_relative_paths_and_secrets_are_refused() {
        let long = format!("/{}", "a".repeat(SOURCE_BYTES_MAX));
        let secret = "https://ada:hunter2@example.org/a";
        let refused = [
            ("", "", false, "field_invalid"),
            ("relative/path", "", false, "field_invalid"),
            ("--upload-pack=evil", "", false, "field_invalid"),
            ("/srv/a", "--force", false, "field_invalid"),
            ("/srv/a\nb", "", false, "field_invalid"),
            ("/srv/a\0b", "", false, "nul_byte"),
            (long.as_str(), "", false, "too_large"),
            (secret, "", false, "field_invalid"),
            ("https://ghp_token@example.org/a", "", false, "field_invalid"),
            ("ssh://ada:pw@example.org/a", "", false, "field_invalid"),
            ("https://example.org/a.git", "", true, "field_invalid"),
        ];
        for (source, reference, worktree, expected) in refused {
            assert_eq!(code(source, reference, worktree), expected, "{source:?}");
        }
        let seed = v1::WorkspaceSeed { source: secret.to_owned(), ..v1::WorkspaceSeed::default() };
        let error = plan(Some(seed)).expect_err("it holds a secret");
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
