//! What the last runs of a workflow tell about the next one: how long nodes took and what they cost.
//!
//! Not for: what is made of it (`plan`).

use std::collections::BTreeMap;
use std::time::Duration;

use fusion_proto::v1::{GetRunRequest, ListRunsRequest, Node, NodeState, RunState};

use crate::client::Link;
use crate::error::Stop;
use crate::view::word::instant;

/// Runs that are looked at.
const RUNS: i32 = 5;

/// A node in the mean of the runs in which it succeeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Past {
    pub(super) span: Duration,
    /// Where a program said it.
    pub(super) usd: Option<f64>,
    pub(super) tokens: Option<u64>,
}

/// The nodes of the last runs that succeeded, by id.
pub(super) async fn past(link: &Link, workflow: &str) -> Result<BTreeMap<String, Past>, Stop> {
    let request = ListRunsRequest {
        page_size: RUNS,
        workflow: workflow.to_owned(),
        states: vec![RunState::Succeeded.into()],
        ..ListRunsRequest::default()
    };
    let page = link.repeat(async || link.workflows().list_runs(request.clone()).await).await?;
    let mut nodes: BTreeMap<String, Vec<Past>> = BTreeMap::new();
    for run in page.runs {
        let request = GetRunRequest { run: run.id };
        let run = link.repeat(async || link.workflows().get_run(request.clone()).await).await?;
        for node in run.nodes.into_iter().filter(|node| node.state() == NodeState::Succeeded) {
            if let Some(past) = of(&node) {
                nodes.entry(node.id).or_default().push(past);
            }
        }
    }
    Ok(nodes.into_iter().filter_map(|(id, of)| Some((id, mean(&of)?))).collect())
}

fn of(node: &Node) -> Option<Past> {
    let (start, end) = (instant(node.start_time)?, instant(node.end_time)?);
    let span = Duration::try_from(end.duration_since(start)).unwrap_or_default();
    let usage = node.usage.unwrap_or_default();
    Some(Past { span, usd: usage.usd, tokens: usage.tokens })
}

/// Of the costs, those that are known.
fn mean(of: &[Past]) -> Option<Past> {
    let count = u32::try_from(of.len()).ok().filter(|count| *count > 0)?;
    let span = of.iter().map(|past| past.span).sum::<Duration>() / count;
    let average = |known: Vec<f64>| {
        let count = known.len();
        (count > 0).then(|| known.into_iter().sum::<f64>() / count as f64)
    };
    let usd = average(of.iter().filter_map(|past| past.usd).collect());
    let tokens = average(of.iter().filter_map(|past| Some(past.tokens? as f64)).collect());
    Some(Past {
        span: Duration::from_millis(u64::try_from(span.as_millis()).unwrap_or(0)),
        usd: usd.map(|usd| (usd * 1e6).round() / 1e6),
        tokens: tokens.map(|tokens| tokens.round() as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_what_is_known() {
        let past = |millis, usd, tokens| Past { span: Duration::from_millis(millis), usd, tokens };
        let runs = [past(1000, Some(0.1), None), past(2000, None, None), past(3000, Some(0.3), Some(7))];
        assert_eq!(mean(&runs), Some(past(2000, Some(0.2), Some(7))));
        assert_eq!(mean(&[]), None);
    }
}
