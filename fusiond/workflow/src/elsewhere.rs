//! Words of other tools, and how the same is said here. Not for: words that are misspelt (`near`).

use crate::near::plain;
use crate::shape::Object;

/// Words, without case and separators, and what to do instead.
pub(crate) type Table = &'static [(&'static [&'static str], &'static str)];

pub(crate) const WORKFLOW: Table = &[
    (
        &["steps", "tasks", "jobs", "stages", "pipeline", "states", "activities"],
        "write `nodes`, a list of steps: nodes: [{id: build, run: [make, all]}]",
    ),
    (
        &["vars", "variables", "params", "parameters", "arguments", "args"],
        "write `inputs`, and use one as {{ inputs.NAME }}: inputs: {NAME: {default: x}}",
    ),
    (&["environment"], "below `defaults` write `env`: defaults: {env: {NAME: value}}"),
    (&["version", "apiversion", "kind", "schema"], "remove it: `apply` counts the versions of a name"),
    (&["id", "title", "workflow"], "write `name`"),
    (&["on", "triggers", "schedule", "cron"], "remove it: a run begins with `fusionctl workflow run`"),
    (
        &["maxparallel", "parallelism", "maxconcurrency", "parallel"],
        "write `concurrency`: tasks of one run at once",
    ),
    (
        &["onexit", "finally", "exithandler"],
        "write `on_success` and `on_failure`, or a node with always: true",
    ),
    (&["tags", "annotations", "metadata"], "write `labels`: labels: {NAME: value}"),
];

pub(crate) const NODE: Table = &[
    (
        &["dependson", "dependencies", "depends", "requires", "after", "upstream", "waitfor", "deps"],
        "write `needs`: needs: [ID]",
    ),
    (
        &["command", "cmd", "script", "exec", "shell", "entrypoint", "args", "bash", "commands"],
        "write `run`: run: [make, test], or for a script run: [sh, -c, \"…\"]",
    ),
    (&["if", "condition", "onlyif"], "write `when`: when: \"{{ nodes.ID.output == 'yes' }}\""),
    (&["unless", "skipif"], "write `when` with `not`: when: \"{{ not nodes.ID.output }}\""),
    (
        &[
            "backoff",
            "retry",
            "retrypolicy",
            "maxretries",
            "retrycount",
            "attempts",
            "retrystrategy",
            "maxattempts",
        ],
        "write `retries`, further attempts after a failure: retries: 3; the time between them grows by itself",
    ),
    (
        &["matrix", "withitems", "withparam", "loop", "map", "items", "strategy", "each", "scatter"],
        "write `foreach`: foreach: [a, b], or foreach: \"{{ nodes.ID.output }}\"; each item is {{ item }}",
    ),
    (
        &["steps", "tasks", "jobs", "nodes"],
        "make a node of each step, or run another workflow: workflow: NAME",
    ),
    (
        &["continueonerror", "allowfailure", "ignoreerrors", "continueonfailure", "ignorefailure"],
        "write `on_failure`: on_failure: continue",
    ),
    (&["environment", "vars", "variables"], "write `env`: env: {NAME: value}"),
    (
        &["image", "container", "docker", "runson", "executor", "platform"],
        "an agent does the work: say which by `capabilities`, `agent` or `profile`",
    ),
    (
        &["uses", "call", "template", "include", "subworkflow"],
        "write `workflow`, a workflow that was applied: workflow: NAME",
    ),
    (
        &["with", "params", "parameters", "arguments", "inputs"],
        "below `workflow` write `inputs`: workflow: {name: NAME, inputs: {NAME: value}}",
    ),
    (&["name", "key", "task"], "write `id`, and `description` for people"),
    (&["model", "llm", "provider"], "write `profile`: profile: claude"),
    (&["instructions", "message", "goal", "question"], "write `prompt`: prompt: what the agent shall do"),
    (
        &["timeoutminutes", "timeoutseconds", "ttl", "deadline", "activedeadlineseconds"],
        "write `timeout` with its unit: timeout: 10m",
    ),
    (&["cwd", "workingdirectory", "dir", "chdir", "workingdir"], "write `workdir`, an absolute path"),
    (
        &["parallel", "parallelism", "concurrency"],
        "write `max_parallel` beside `foreach`, or `concurrency` at the top",
    ),
    (&["sleep", "delay", "pause"], "write `wait`: wait: 10m"),
    (
        &["manual", "approve", "gate", "confirm", "suspend"],
        "write `approval`: approval: {message: \"Merge?\"}",
    ),
    (
        &["outputs", "artifacts", "result", "schema"],
        "write `output`: output: json, or output: {schema: {type: object}}",
    ),
    (&["onerror", "onfail"], "write `on_failure`: on_failure: continue, or on_failure: skip-dependents"),
    (&["finally", "alwaysrun"], "write `always`: always: true"),
    (
        &["type", "kind", "action", "operator"],
        "a node is what it says: `prompt`, `run`, `approval`, `workflow`, `wait` or `done`",
    ),
    (
        &["skills", "tags", "requirements"],
        "write `capabilities`, what the agent must be able to do: capabilities: [code]",
    ),
];

pub(crate) const APPROVAL: Table = &[
    (&["ontimeout", "otherwise", "fallback"], "write `default`: default: approve, or default: reject"),
    (&["prompt", "question", "text", "title", "description"], "write `message`: message: \"Merge?\""),
    (&["approvers", "users", "who", "reviewers"], "remove it: whoever owns the run decides"),
];

pub(crate) const WAIT: Table = &[
    (&["duration", "seconds", "minutes", "time", "sleep", "delay"], "write `for`: for: 10m"),
    (&["at", "date", "datetime", "instant"], "write `until`: until: 2030-01-31T08:00:00Z"),
    (&["events", "signal", "on", "type"], "write `event`: event: task.succeeded"),
];

pub(crate) const OUTPUT: Table = &[(
    &["type", "properties", "required", "items", "ref", "enum", "jsonschema"],
    "write the JSON Schema below `schema`: output: {schema: {type: object}}",
)];

pub(crate) const INPUT: Table = &[
    (&["choices", "options", "values", "oneof", "allowed"], "write `enum`: enum: [a, b]"),
    (&["optional"], "remove it: an input need not be given unless it says required: true"),
    (&["value"], "write `default`: default: x"),
];

pub(crate) const BUDGET: Table = &[
    (&["cost", "dollars", "money", "price"], "write `usd`: usd: 2.5"),
    (&["duration", "timeout", "minutes", "seconds"], "write `time`: time: 2h"),
    (&["retries", "maxattempts", "tries"], "write `attempts`: attempts: 20"),
];

/// What to write here instead of a word that other tools have.
pub(crate) fn ours(word: &str, object: &Object) -> Option<&'static str> {
    let word: String = plain(word).into_iter().filter(char::is_ascii_alphanumeric).collect();
    let found = object.elsewhere.iter().find(|(words, _)| words.contains(&word.as_str()));
    found.map(|(_, said)| *said).filter(|said| is_of(object, said))
}

/// Whether what is said speaks of a word that there is here: `needs` is none of a hook.
fn is_of(object: &Object, said: &str) -> bool {
    let named = said.strip_prefix("write `").and_then(|rest| rest.split('`').next());
    let known = |word: &str| object.fields.iter().any(|field| field.name == word);
    named.is_none_or(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words;
    use std::collections::HashSet;

    #[test]
    fn no_word_of_ours_is_taken_for_another_and_each_is_said_once() {
        fn check(object: &'static Object) {
            let mut seen = HashSet::new();
            for word in object.elsewhere.iter().flat_map(|(words, _)| *words) {
                assert!(seen.insert(word), "{} has \"{word}\" twice", object.what);
                let is_ours = object.fields.iter().any(|field| plain(field.name).iter().eq(&plain(word)));
                assert!(!is_ours, "{} has \"{word}\" itself", object.what);
            }
        }
        for object in words::tables(&words::DEFINITION) {
            check(object);
        }
    }

    #[test]
    fn words_of_other_tools_name_ours() {
        for (word, ours_is) in [
            ("if", "`when`"),
            ("dependsOn", "`needs`"),
            ("depends-on", "`needs`"),
            ("with_items", "`foreach`"),
            ("continue_on_error", "`on_failure`"),
        ] {
            assert!(ours(word, &words::NODE).unwrap_or_default().contains(ours_is), "{word}");
        }
        assert_eq!((ours("depends_on", &words::HOOK), ours("promt", &words::NODE)), (None, None));
        assert!(ours("cmd", &words::HOOK).is_some());
    }
}
