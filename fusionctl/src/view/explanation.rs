//! What something waits for, as JSON and as lines.
//!
//! Not for: finding the reasons; the daemon's rules do.

use fusion_proto::v1;
use serde::Serialize;

use crate::table::printable;

/// The answer to `why`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    pub(crate) subject: String,
    state: String,
    summary: String,
    reasons: Vec<Reason>,
}

/// One thing that is waited for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Reason {
    code: String,
    text: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    remedy: String,
}

impl From<v1::Explanation> for Explanation {
    fn from(explanation: v1::Explanation) -> Self {
        let reasons = explanation.reasons.into_iter();
        Self {
            subject: explanation.subject,
            state: explanation.state,
            summary: explanation.summary,
            reasons: reasons
                .map(|reason| Reason { code: reason.code, text: reason.text, remedy: reason.remedy })
                .collect(),
        }
    }
}

impl Explanation {
    /// The lines for people: the summary, then each reason with what would change it. What the summary says already is
    /// not said again.
    pub(crate) fn lines(&self) -> Vec<String> {
        let state = match self.state.as_str() {
            "succeeded" | "failed" => format!("has {}", self.state),
            "timed_out" => "has timed out".to_owned(),
            "cancelled" | "skipped" => format!("was {}", self.state),
            state => format!("is {state}"),
        };
        let mut lines = vec![format!("{} {state}: {}", self.subject, self.summary)];
        for reason in &self.reasons {
            let is_said = reason.text == self.summary;
            if !is_said {
                lines.push(format!("  {} ({})", reason.text, reason.code));
            }
            if !reason.remedy.is_empty() {
                let indent = if is_said { "  " } else { "    " };
                lines.push(format!("{indent}to change that: {}", reason.remedy));
            }
        }
        lines.iter().map(|line| printable(line)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json_line;

    #[test]
    fn an_explanation_as_json_and_as_lines() {
        let explanation = Explanation::from(v1::Explanation {
            subject: "tsk_01".to_owned(),
            state: "queued".to_owned(),
            summary: "no agent can take it".to_owned(),
            reasons: vec![v1::Reason {
                code: "no_capable_agent".to_owned(),
                text: "no agent has gpu".to_owned(),
                remedy: "spawn one".to_owned(),
            }],
        });
        assert_eq!(
            json_line(&explanation),
            r#"{"subject":"tsk_01","state":"queued","summary":"no agent can take it","reasons":[{"code":"no_capable_agent","text":"no agent has gpu","remedy":"spawn one"}]}"#
        );
        assert_eq!(
            explanation.lines(),
            [
                "tsk_01 is queued: no agent can take it",
                "  no agent has gpu (no_capable_agent)",
                "    to change that: spawn one"
            ]
        );
        let alone = Explanation { summary: "no agent has gpu".to_owned(), ..explanation };
        assert_eq!(alone.lines(), ["tsk_01 is queued: no agent has gpu", "  to change that: spawn one"]);
    }
}
