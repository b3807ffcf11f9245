//! `workflow show --result`: the whole result of one node, as it is.
//!
//! Not for: the beginning of long results, which stands with the run (`show`).

use fusion_proto::v1::ReadNodeOutputRequest;
use serde_json::Value;

use crate::client::Link;
use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::output::Format;

/// Prints it: a text as it is, anything else as JSON.
pub(super) async fn print(
    session: &mut Session,
    link: &Link,
    run: String,
    node: String,
) -> Result<Exit, Stop> {
    let (node, item) = parse(&node);
    let request = ReadNodeOutputRequest { run, node, item };
    let mut pieces = link.workflows().read_node_output(request).await?.into_inner();
    let mut bytes = Vec::new();
    while let Some(piece) = pieces.message().await? {
        bytes.extend_from_slice(&piece.data);
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
        Complaint::new(Exit::Bug, "internal", format!("the daemon sent a result that is not JSON: {error}"))
    })?;
    match (session.out.format(), value) {
        (Format::Table, Value::String(text)) => session.out.foreign(format!("{text}\n").as_bytes())?,
        // Also JSON lets through much of what steers a terminal.
        (Format::Table, value) => session.out.foreign(format!("{value:#}\n").as_bytes())?,
        (Format::Json | Format::Jsonl | Format::Yaml, value) => session.out.document(&value, |_| Ok(()))?,
    }
    Ok(Exit::Done)
}

/// `fix` or `fix[3]`.
fn parse(text: &str) -> (String, Option<u32>) {
    let item = text.strip_suffix(']').and_then(|text| text.split_once('['));
    match item.and_then(|(node, item)| Some((node, item.parse().ok()?))) {
        Some((node, item)) => (node.to_owned(), Some(item)),
        None => (text.to_owned(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_brackets_is_an_item() {
        assert_eq!(parse("fix"), ("fix".to_owned(), None));
        assert_eq!(parse("fix[3]"), ("fix".to_owned(), Some(3)));
        assert_eq!(parse("fix[x]"), ("fix[x]".to_owned(), None));
    }
}
