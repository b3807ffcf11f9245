//! The words of a definition: which there are, the form of each, and what it is.
//!
//! Messages and the published JSON schema are written from here; [`crate::definition`] has the same names. Not for: what
//! the words have to do with one another (`check`).

use crate::elsewhere;
use crate::shape::Need::{Always, Optional};
use crate::shape::{Field, Need, Object, Shape};
use crate::{EDGES_MAX, ITEMS_MAX, NODES_MAX};

const fn field(name: &'static str, shape: Shape, need: Need, about: &'static str) -> Field {
    Field { name, shape, need, about }
}

const TEXTS: Shape = Shape::List(&Shape::Text, 64);
const NAMES: Shape = Shape::Either(&[&Shape::List(&Shape::Name, EDGES_MAX), &Shape::Name]);
const RUN: Shape = Shape::List(&Shape::Template, 1000);
const ENV: Shape = Shape::Map(&Shape::Template);
const ON_LOST: Shape = Shape::Words(&["review", "retry", "fail"]);

/// A workflow.
pub static DEFINITION: Object = Object {
    what: "a workflow",
    example: "name: build, then nodes: with a list below it",
    one_of: &[],
    elsewhere: elsewhere::WORKFLOW,
    fields: &[
        field("name", Shape::Name, Always, "The name, under which `apply` stores versions of it."),
        field("description", Shape::Text, Optional, "One sentence for people."),
        field("inputs", Shape::Map(&Shape::Object(&INPUT)), Optional, "What a run is given, by name."),
        field(
            "defaults",
            Shape::Object(&DEFAULTS),
            Optional,
            "What holds for every node that does not say otherwise.",
        ),
        field(
            "concurrency",
            Shape::Count(1, 10_000),
            Optional,
            "How many tasks of one run there may be at once.",
        ),
        field("timeout", Shape::Timeout, Optional, "How long a whole run may take."),
        field("labels", Shape::Map(&Shape::Text), Optional, "Labels of every run and its tasks."),
        field(
            "budget",
            Shape::Object(&BUDGET),
            Optional,
            "What a run may use, beginning with no more when it is used up.",
        ),
        field(
            "tasks_file",
            Shape::Text,
            Optional,
            "A task file of spec-kit: the box of a task is ticked when the node of its id has succeeded.",
        ),
        field("nodes", Shape::List(&Shape::Object(&NODE), NODES_MAX), Always, "The steps."),
        field(
            "on_success",
            Shape::Object(&HOOK),
            Optional,
            "What is done when everything else has ended well.",
        ),
        field(
            "on_failure",
            Shape::Object(&HOOK),
            Optional,
            "What is done when everything else has ended, and not well.",
        ),
    ],
};

static BUDGET: Object = Object {
    what: "a budget",
    example: "{time: 2h, attempts: 20}",
    one_of: &[],
    elsewhere: elsewhere::BUDGET,
    fields: &[
        field(
            "usd",
            Shape::Amount(0.000_001, 1_000_000.0),
            Optional,
            "US dollars that attempts may cost, as their programs say it, to the millionth.",
        ),
        field(
            "tokens",
            Shape::Count(1, 1_000_000_000_000_000),
            Optional,
            "Tokens that models may use, as programs say it.",
        ),
        field("time", Shape::Duration, Optional, "How long all attempts may take together."),
        field(
            "attempts",
            Shape::Count(1, 1_000_000),
            Optional,
            "How many attempts there may be, retries among them.",
        ),
    ],
};

static INPUT: Object = Object {
    what: "an input",
    example: "{type: string}",
    one_of: &[],
    elsewhere: elsewhere::INPUT,
    fields: &[
        field(
            "type",
            Shape::Words(&["string", "integer", "number", "boolean", "json"]),
            Optional,
            "What it is; a string when nothing is said.",
        ),
        field("required", Shape::Bool, Optional, "Whether a run must be given it."),
        field("default", Shape::Any, Optional, "What it is when a run is not given it."),
        field("enum", Shape::List(&Shape::Any, 1000), Optional, "The only values it may have."),
        field("description", Shape::Text, Optional, "One sentence for people."),
    ],
};

/// What holds for every step.
pub(crate) static DEFAULTS: Object = Object {
    what: "`defaults`",
    example: "{retries: 2, timeout: 10m}",
    one_of: &[],
    elsewhere: elsewhere::NODE,
    fields: &[
        field("capabilities", TEXTS, Optional, "What agents must be able to do."),
        field("agent", Shape::Template, Optional, "The agent that does the work, by name."),
        field(
            "profile",
            Shape::Template,
            Optional,
            "The profile of the agent that does the work: one that is idle, or one that is started for it.",
        ),
        field("priority", Shape::Count(0, 9), Optional, "9 comes first; 5 when nothing is said."),
        field("timeout", Shape::Timeout, Optional, "How long one attempt may take."),
        field("idle_timeout", Shape::Timeout, Optional, "How long an attempt may neither write nor compute."),
        field("queue_timeout", Shape::Timeout, Optional, "How long a task may wait for an agent."),
        field("retries", Shape::Count(0, 1000), Optional, "Further attempts after a failure."),
        field("on_lost", ON_LOST, Optional, "What happens when the outcome of an attempt cannot be known."),
        field("env", ENV, Optional, "Variables of the environment."),
        field(
            "workdir",
            Shape::Text,
            Optional,
            "Absolute path of the folder that attempts begin in; the agent's workspace when nothing is said.",
        ),
    ],
};

/// A step.
pub(crate) static NODE: Object = Object {
    what: "a node",
    example: "{id: build, run: [make, all]}",
    one_of: &["prompt", "run", "approval", "workflow", "wait", "done"],
    elsewhere: elsewhere::NODE,
    fields: &[
        field("id", Shape::Name, Always, "The node's name within the workflow."),
        field("needs", NAMES, Optional, "The nodes that must have ended before, by id."),
        field("prompt", Shape::Template, Optional, "Words for an agent."),
        field("run", RUN, Optional, "A command with its arguments, run by an agent as it is."),
        field("approval", Shape::Object(&APPROVAL), Optional, "A person decides."),
        field(
            "workflow",
            Shape::Either(&[&Shape::Name, &Shape::Object(&INNER)]),
            Optional,
            "A run of another workflow that was applied.",
        ),
        field(
            "wait",
            Shape::Either(&[&Shape::Duration, &Shape::Object(&WAIT)]),
            Optional,
            "Lets time pass, or waits for an event.",
        ),
        field("done", Shape::Bool, Optional, "Nothing is left to do: the node succeeds at once."),
        field("description", Shape::Text, Optional, "One sentence for people."),
        field("capabilities", TEXTS, Optional, "What the agent must be able to do."),
        field("agent", Shape::Template, Optional, "The agent that does the work, by name."),
        field(
            "profile",
            Shape::Template,
            Optional,
            "The profile of the agent that does the work: one that is idle, or one that is started for it.",
        ),
        field("priority", Shape::Count(0, 9), Optional, "9 comes first; 5 when nothing is said."),
        field("timeout", Shape::Timeout, Optional, "How long one attempt may take."),
        field("idle_timeout", Shape::Timeout, Optional, "How long an attempt may neither write nor compute."),
        field("queue_timeout", Shape::Timeout, Optional, "How long the task may wait for an agent."),
        field(
            "retries",
            Shape::Count(0, 1000),
            Optional,
            "Further attempts after a failure, also of the output to be what it should.",
        ),
        field("on_lost", ON_LOST, Optional, "What happens when the outcome of an attempt cannot be known."),
        field(
            "concurrency_key",
            Shape::Template,
            Optional,
            "Of the owner's tasks with the same one, at most one runs.",
        ),
        field("env", ENV, Optional, "Variables of the environment."),
        field(
            "workdir",
            Shape::Text,
            Optional,
            "Absolute path of the folder that attempts begin in; the agent's workspace when nothing is said.",
        ),
        field("secrets", TEXTS, Optional, "Secrets that each attempt is given, NAME or NAME=VARIABLE."),
        field(
            "when",
            Shape::Either(&[&Shape::Bool, &Shape::Template]),
            Optional,
            "The node is skipped unless this is true.",
        ),
        field(
            "foreach",
            Shape::Either(&[&Shape::List(&Shape::Any, ITEMS_MAX), &Shape::Template]),
            Optional,
            "The node is done once for each item of this list.",
        ),
        field(
            "max_parallel",
            Shape::Count(1, 10_000),
            Optional,
            "How many items of `foreach` are worked on at once.",
        ),
        field(
            "output",
            Shape::Either(&[&Shape::Words(&["text", "json"]), &Shape::Object(&OUTPUT)]),
            Optional,
            "What the result is: a text, or JSON that is parsed.",
        ),
        field("budget", Shape::Object(&BUDGET), Optional, "What the node may use, with all its items."),
        field(
            "on_failure",
            Shape::Words(&["fail", "continue", "skip-dependents"]),
            Optional,
            "What a failure of the node means for the run.",
        ),
        field(
            "always",
            Shape::Bool,
            Optional,
            "Whether the node is done also when what it needs did not go well, or the run fails.",
        ),
    ],
};

/// What is done when everything else has ended.
pub(crate) static HOOK: Object = Object {
    what: "a hook",
    example: "{run: [make, clean]}",
    one_of: &["prompt", "run"],
    elsewhere: elsewhere::NODE,
    fields: &[
        field("prompt", Shape::Template, Optional, "Words for an agent."),
        field("run", RUN, Optional, "A command with its arguments, run by an agent as it is."),
        field("capabilities", TEXTS, Optional, "What the agent must be able to do."),
        field("agent", Shape::Template, Optional, "The agent that does the work, by name."),
        field(
            "profile",
            Shape::Template,
            Optional,
            "The profile of the agent that does the work: one that is idle, or one that is started for it.",
        ),
        field("priority", Shape::Count(0, 9), Optional, "9 comes first; 5 when nothing is said."),
        field("timeout", Shape::Timeout, Optional, "How long one attempt may take."),
        field("retries", Shape::Count(0, 1000), Optional, "Further attempts after a failure."),
        field("env", ENV, Optional, "Variables of the environment."),
    ],
};

static APPROVAL: Object = Object {
    what: "an approval",
    example: r#"{message: "Merge?"}"#,
    one_of: &[],
    elsewhere: elsewhere::APPROVAL,
    fields: &[
        field("message", Shape::Template, Optional, "What the person is asked."),
        field("timeout", Shape::Timeout, Optional, "How long to wait for a person."),
        field(
            "default",
            Shape::Words(&["approve", "reject"]),
            Optional,
            "What holds when the time is over; reject when nothing is said.",
        ),
    ],
};

static INNER: Object = Object {
    what: "`workflow`",
    example: "{name: build, inputs: {x: 1}}",
    one_of: &[],
    elsewhere: &[],
    fields: &[
        field("name", Shape::Name, Always, "The name of a workflow that was applied."),
        field("inputs", Shape::Map(&Shape::Any), Optional, "What its run is given, by name."),
    ],
};

/// What a step waits for.
pub(crate) static WAIT: Object = Object {
    what: "`wait`",
    example: "{event: task.succeeded}",
    one_of: &["for", "until", "event"],
    elsewhere: elsewhere::WAIT,
    fields: &[
        field("for", Shape::Duration, Optional, "How long."),
        field("until", Shape::Template, Optional, "The instant, in the form of RFC 3339."),
        field(
            "event",
            Shape::Either(&[&Shape::List(&Shape::Text, 64), &Shape::Text]),
            Optional,
            "For the first event of this kind after the node began: a word of docs/reference/events.md, \
             `agent.*` for all that begin so, or a list of them. The event is the result of the node.",
        ),
        field("task", Shape::Template, Optional, "The event is about this task: an id, or `key:K`."),
        field("agent", Shape::Template, Optional, "About this agent or a task on it: a name or an id."),
        field("run", Shape::Template, Optional, "About this run or a task of it: an id, or `key:K`."),
        field("node", Shape::Template, Optional, "About a node of this name or a task of it."),
        field("workflow", Shape::Template, Optional, "About a run of the workflow of this name."),
        field("labels", ENV, Optional, "About a task or a run with these labels."),
        field("timeout", Shape::Timeout, Optional, "How long to wait for the event; then the node fails."),
    ],
};

static OUTPUT: Object = Object {
    what: "`output`",
    example: "{schema: {type: object}}",
    one_of: &[],
    elsewhere: elsewhere::OUTPUT,
    fields: &[
        field(
            "format",
            Shape::Words(&["text", "json"]),
            Optional,
            "What the result is; json when a schema is given.",
        ),
        field("schema", Shape::Any, Optional, "The JSON Schema that the result must have."),
    ],
};

/// This table of words and all below it.
#[cfg(test)]
pub(crate) fn tables(object: &'static Object) -> Vec<&'static Object> {
    fn below(shape: &'static Shape) -> Vec<&'static Object> {
        match shape {
            Shape::Object(object) => tables(object),
            Shape::List(of, _) | Shape::Map(of) => below(of),
            Shape::Either(shapes) => shapes.iter().flat_map(|shape| below(shape)).collect(),
            Shape::Text
            | Shape::Template
            | Shape::Name
            | Shape::Bool
            | Shape::Count(..)
            | Shape::Amount(..)
            | Shape::Duration
            | Shape::Timeout
            | Shape::Words(_)
            | Shape::Any => Vec::new(),
        }
    }
    let inner = object.fields.iter().flat_map(|field| below(&field.shape));
    std::iter::once(object).chain(inner).collect()
}
