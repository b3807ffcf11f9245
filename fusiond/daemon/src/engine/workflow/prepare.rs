//! Fills in the templates of a node that is to begin.
//!
//! Not for: which node that is, and what follows (`fusion_core::workflow`).

use super::kept::{self, NodeOutput, Part, Seen as _};
use super::outputs::{self, ITEMS_BYTES_MAX};
use super::script::{Script, plan};
use crate::engine::input::{input_bytes, plan_input, title};
use crate::runtime::{TaskInput, WORKDIR};
use crate::store::Reader;
use fusion_core::secret::SecretUse;
use fusion_core::task::submit::{Admission, PRIORITY_DEFAULT};
use fusion_core::task::{OnLost, Stdin, SubmitTask, Timeouts};
use fusion_core::workflow::{AskWatch, Budget, NodeState, Place, Prepared, Run, StartRun, Workflow};
use fusion_core::{Capabilities, Failure, FailureCode, Millis, RunId, TaskId, Time, Uid};
use fusion_workflow::definition::{Node, Wait, Work};
use fusion_workflow::{ITEMS_MAX, inputs, template};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a place will be, and the bytes beside it.
pub(crate) struct Prep {
    pub(crate) what: Prepared,
    pub(crate) beside: Beside,
}

/// Bytes that are stored when the place begins.
pub(crate) enum Beside {
    Nothing,
    Task(TaskInput),
    Items(Vec<Vec<u8>>),
    Question(String),
    /// Of the run that does the work.
    Run(Arc<Script>),
}

impl Beside {
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Task(input) => input.bytes(),
            Self::Items(items) => items.iter().map(Vec::len).sum(),
            Self::Question(words) => words.len(),
            Self::Run(script) => script.bytes(),
        }
    }
}

/// For whom a place is prepared.
#[derive(Clone)]
pub(crate) struct For {
    pub(crate) run: RunId,
    pub(crate) owner: Uid,
    pub(crate) workflow: String,
    pub(crate) version: u32,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) place: Place,
    pub(crate) now: Time,
    /// The workflow whose run does the work.
    pub(crate) inner: Option<Workflow>,
}

impl For {
    pub(crate) fn of(run: &Run, place: Place, now: Time) -> Self {
        let labels = run.spec.labels.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        Self {
            run: run.id,
            owner: run.owner,
            workflow: run.spec.workflow.to_string(),
            version: run.spec.version,
            labels: labels.collect(),
            place,
            now,
            inner: None,
        }
    }
}

/// A place whose templates cannot be filled in.
pub(crate) fn failed(message: impl Into<String>) -> Prep {
    let failure = Failure::new(FailureCode::TemplateFailed, message);
    Prep { what: Prepared::Failed(failure), beside: Beside::Nothing }
}

/// A place whose work cannot begin, whatever its templates say.
fn refused(message: String) -> Prep {
    let failure = Failure::new(FailureCode::NodeRefused, message);
    Prep { what: Prepared::Failed(failure), beside: Beside::Nothing }
}

/// Prepares a place in which nothing is to be filled in.
pub(crate) fn literal(script: &Script, whom: &For) -> Prep {
    prepare(script, whom, &Value::Null, None).unwrap_or_else(failed)
}

/// Prepares a place; `run` is what it uses of the run, as it was when the place was to begin. Reads the store.
pub(crate) fn filled(script: &Script, whom: &For, run: &Part, reader: &Reader) -> Prep {
    for used in script.uses_of(whom.place) {
        let bytes = match outputs::length(reader, run, Place::whole(*used)) {
            Ok(bytes) => bytes,
            Err(problem) => return failed(format!("what the node uses could not be read: {problem}")),
        };
        if bytes > ITEMS_BYTES_MAX as u64 {
            let node = &script.nodes[*used as usize].id;
            return failed(format!(
                "the results of all items of {node} have {bytes} bytes together: at most {ITEMS_BYTES_MAX} can be used"
            ));
        }
    }
    match context(script, whom, run, reader) {
        Ok(context) => prepare(script, whom, &context, Some(reader)).unwrap_or_else(failed),
        Err(problem) => failed(format!("what the node uses could not be read: {problem}")),
    }
}

/// What templates may speak about.
fn context(
    script: &Script,
    whom: &For,
    run: &Part,
    reader: &Reader,
) -> Result<Value, crate::store::ReadError> {
    let mut nodes = Map::new();
    for used in script.uses_of(whom.place) {
        let place = Place::whole(*used);
        let mut shown = Map::new();
        let state = run.found(place).map_or("pending", NodeState::word);
        shown.insert("state".to_owned(), json!(state));
        if let NodeOutput::Value(value) = kept::output_of(reader, run, place)? {
            shown.insert("output".to_owned(), value);
        }
        if run.plan().node(*used).fan.is_some() {
            let item = |item| run.found(Place { node: *used, item: Some(item) });
            let states = (0..run.begun(*used)).map(|at| item(at).map_or("pending", NodeState::word));
            let states: Vec<&str> = states.collect();
            shown.insert("items".to_owned(), json!(states));
        }
        nodes.insert(script.nodes[*used as usize].id.clone(), Value::Object(shown));
    }
    let mut context = json!({
        "inputs": script.form.inputs,
        "nodes": nodes,
        "run": {"id": whom.run.to_string(), "workflow": whom.workflow, "version": whom.version},
    });
    if let Some(item) = whom.place.item {
        let body = reader.get(&kept::item_key(whom.run, whom.place.node, item))?.unwrap_or_default();
        context["item"] = serde_json::from_slice(&body).unwrap_or_default();
        context["index"] = json!(item);
    }
    Ok(context)
}

fn prepare(script: &Script, whom: &For, context: &Value, reader: Option<&Reader>) -> Result<Prep, String> {
    let node = &script.nodes[whom.place.node as usize];
    if whom.place.item.is_none() {
        if !holds(node, context)? {
            return Ok(Prep { what: Prepared::Skip, beside: Beside::Nothing });
        }
        if let Some(items) = &node.foreach {
            return fan_out(items, context);
        }
    }
    match node.work() {
        Some(Work::Prompt(prompt)) => {
            let prompt = fill("prompt", prompt, context)?;
            task(node, whom, context, prompt, Vec::new())
        }
        Some(Work::Run(words)) => {
            let words = words.iter().map(|word| fill("run", word, context)).collect::<Result<_, _>>()?;
            task(node, whom, context, String::new(), words)
        }
        Some(Work::Approval(approval)) => {
            let words = fill("message", approval.message.as_deref().unwrap_or_default(), context)?;
            Ok(Prep { what: Prepared::Gate, beside: Beside::Question(words) })
        }
        Some(Work::Wait(wait)) if !wait.event.is_empty() => {
            let ask = watch(wait, context)?;
            Ok(Prep { what: Prepared::Watch(Box::new(ask)), beside: Beside::Nothing })
        }
        Some(Work::Wait(wait)) => {
            let until = match (wait.span, &wait.until) {
                (Some(span), _) => whom.now.plus(Millis(span)),
                (None, until) => instant(&fill("until", until.as_deref().unwrap_or_default(), context)?)?,
            };
            Ok(Prep { what: Prepared::Sleep(until), beside: Beside::Nothing })
        }
        Some(Work::Done) => Ok(Prep { what: Prepared::Done, beside: Beside::Nothing }),
        Some(Work::Workflow(inner)) => {
            let mut inputs = BTreeMap::new();
            for (name, value) in &inner.inputs {
                inputs.insert(name.clone(), fill_value(value, context)?);
            }
            Ok(start_inner(whom, &inner.name, &inputs, reader).unwrap_or_else(refused))
        }
        None => Err("the node does nothing".to_owned()),
    }
}

/// The run of the newest version of a workflow, with these inputs.
fn start_inner(
    whom: &For,
    name: &str,
    inputs: &BTreeMap<String, Value>,
    reader: Option<&Reader>,
) -> Result<Prep, String> {
    let unknown = || format!("there is no workflow \"{name}\": `fusionctl workflow apply` keeps one");
    let workflow = whom.inner.as_ref().ok_or_else(unknown)?;
    let read = reader.map_or(Ok(None), |reader| kept::definition_of(reader, workflow.id));
    let text = read.map_err(|error| format!("workflow \"{name}\" could not be read: {error}"))?;
    let read = fusion_workflow::read_json(&text.ok_or_else(unknown)?);
    let definition = read.definition.ok_or_else(|| format!("workflow \"{name}\" is not valid any more"))?;
    let inputs = inputs::resolve(&definition.inputs, inputs).map_err(|problems| problems.join("; "))?;
    let script = Arc::new(Script::new(definition, inputs));
    let start = StartRun {
        id: RunId(0),
        owner: whom.owner,
        owner_name: whom.owner.0.to_string(),
        workflow: name.to_owned(),
        version: workflow.version,
        plan: plan(&script),
        labels: whom.labels.clone(),
        key: String::new(),
        request: 0,
        fingerprint: 0,
        parent: Some((whom.run, whom.place)),
        bound: Budget::default(),
    };
    Ok(Prep { what: Prepared::Inner(Box::new(start)), beside: Beside::Run(script) })
}

/// Whether `when` is true.
fn holds(node: &Node, context: &Value) -> Result<bool, String> {
    match &node.when {
        None => Ok(true),
        Some(Value::String(text)) => {
            let value = template::value(text, context).map_err(|fault| format!("`when`: {fault}"))?;
            Ok(template::is_true(&value))
        }
        Some(value) => Ok(template::is_true(value)),
    }
}

fn fan_out(items: &Value, context: &Value) -> Result<Prep, String> {
    let items = match items {
        Value::String(text) => {
            template::value(text, context).map_err(|fault| format!("`foreach`: {fault}"))?
        }
        Value::Array(items) => {
            let filled = items.iter().map(|item| fill_value(item, context)).collect::<Result<_, _>>()?;
            Value::Array(filled)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => items.clone(),
    };
    let Value::Array(list) = &items else {
        return Err(format!("`foreach` must be a list, found {}", kind(&items)));
    };
    if list.len() > ITEMS_MAX {
        return Err(format!("`foreach` has {} items: at most {ITEMS_MAX} are possible", list.len()));
    }
    let count = u32::try_from(list.len()).expect("limited");
    let list = list.iter().map(|item| item.to_string().into_bytes()).collect();
    Ok(Prep { what: Prepared::Items(count), beside: Beside::Items(list) })
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

fn fill(word: &str, text: &str, context: &Value) -> Result<String, String> {
    template::text(text, context).map_err(|fault| format!("`{word}`: {fault}"))
}

/// Texts anywhere in a value are filled in.
fn fill_value(value: &Value, context: &Value) -> Result<Value, String> {
    match value {
        Value::String(text) => template::value(text, context).map_err(|fault| fault.to_string()),
        Value::Array(items) => {
            items.iter().map(|item| fill_value(item, context)).collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(map) => {
            let filled = map.iter().map(|(name, value)| Ok((name.clone(), fill_value(value, context)?)));
            filled.collect::<Result<_, String>>().map(Value::Object)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

/// What a wait for an event says.
fn watch(wait: &Wait, context: &Value) -> Result<AskWatch, String> {
    let said = |word: &str, text: &Option<String>| match text {
        Some(text) => fill(word, text, context),
        None => Ok(String::new()),
    };
    let about = &wait.about;
    let mut labels = Vec::new();
    for (key, value) in &about.labels {
        labels.push((key.clone(), fill("labels", value, context)?));
    }
    Ok(AskWatch {
        kinds: wait.event.clone(),
        task: said("task", &about.task)?,
        agent: said("agent", &about.agent)?,
        run: said("run", &about.run)?,
        node: said("node", &about.node)?,
        workflow: said("workflow", &about.workflow)?,
        labels,
        timeout: wait.timeout.map(Millis),
    })
}

/// Seconds since 1970 of `2030-01-31T08:00:00Z`, with a fraction and an offset if need be.
fn instant(text: &str) -> Result<Time, String> {
    let wrong = || format!("`until`: {text:?} is not an instant such as 2030-01-31T08:00:00Z");
    let at: prost_types::Timestamp = text.trim().parse().map_err(|_| wrong())?;
    let seconds = u64::try_from(at.seconds).map_err(|_| wrong())?;
    let millis = u64::try_from(at.nanos / 1_000_000).map_err(|_| wrong())?;
    Ok(Time(seconds * 1000 + millis))
}

fn task(node: &Node, whom: &For, context: &Value, prompt: String, run: Vec<String>) -> Result<Prep, String> {
    let mut env = Vec::new();
    for (name, value) in &node.terms.env {
        env.push((name.clone(), fill("env", value, context)?));
    }
    env.retain(|(name, _)| name != WORKDIR);
    env.extend(node.terms.workdir.clone().map(|path| (WORKDIR.to_owned(), path)));
    env.push(("FUSION_RUN_ID".to_owned(), whom.run.to_string()));
    env.push(("FUSION_NODE".to_owned(), node.id.clone()));
    env.extend(whom.place.item.map(|item| ("FUSION_ITEM".to_owned(), item.to_string())));
    let profile = fill("profile", node.terms.profile.as_deref().unwrap_or_default(), context)?;
    let capabilities: Capabilities = node.terms.capabilities.iter().flatten().map(String::as_str).collect();
    let input = plan_input(prompt, run, env, false).map_err(|reject| reject.to_string())?;
    let terms = &node.terms;
    let submit = SubmitTask {
        id: TaskId(0),
        owner: whom.owner,
        owner_name: whom.owner.0.to_string(),
        title: title(&input),
        kind: input.kind,
        input_bytes: input_bytes(&input),
        priority: terms.priority.unwrap_or_else(|| PRIORITY_DEFAULT.into()),
        capabilities: capabilities.of_profile(&profile),
        agent: fill("agent", terms.agent.as_deref().unwrap_or_default(), context)?,
        key: String::new(),
        request: 0,
        fingerprint: 0,
        labels: whom.labels.clone(),
        timeouts: Timeouts {
            run: terms.timeout.map(Millis),
            idle: terms.idle_timeout.map(Millis),
            queue: terms.queue_timeout.map(Millis),
        },
        retries: terms.retries.unwrap_or(0),
        on_lost: match terms.on_lost.as_deref() {
            Some("retry") => OnLost::Retry,
            Some("fail") => OnLost::Fail,
            Some(_) | None => OnLost::Review,
        },
        not_before: None,
        after: Vec::new(),
        concurrency_key: fill(
            "concurrency_key",
            node.concurrency_key.as_deref().unwrap_or_default(),
            context,
        )?,
        admission: Admission::Free,
        secrets: node.secrets.iter().map(|text| secret(text)).collect(),
        stdin: Stdin::Closed,
        node: None,
        recalled: None,
    };
    Ok(Prep { what: Prepared::Task(Box::new(submit)), beside: Beside::Task(input) })
}

/// `NAME` or `NAME=VARIABLE`.
fn secret(text: &str) -> SecretUse {
    let (name, env) = text.split_once('=').unwrap_or((text, text));
    SecretUse { name: name.into(), env: env.into() }
}
