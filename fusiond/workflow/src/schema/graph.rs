//! A schema of a user's as the places that it consists of, so that the work of checking with it is known beforehand.
//!
//! ```text
//!   schema ─► places, each with those that it applies ─► is it one that may be used?   (once, when it is read)
//!                                                    └─► how many steps does a value take?  (before it is checked)
//! ```
//! What is counted is never less than what is done: a place that is applied under a condition counts as applied. Not for:
//! whether a value has the schema (`super`).

use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};

/// The longest `pattern`: what is built of one grows with it.
const PATTERN_BYTES_MAX: usize = 1 << 10;
/// The most patterns: each may take an automaton of 1 MiB.
pub(super) const PATTERNS_MAX: usize = 100;
/// The most places that are visited when every reference is followed once. Real schemas have some hundred.
const EXPANDED_MAX: u64 = 100_000;
/// The most references and parts that are followed one out of the other for one value: each takes room on the stack.
const CHAIN_MAX: usize = 64;
/// The most for a value with all that it contains; JSON is at most 128 deep.
const DEPTH_MAX: usize = 512;
/// The most steps for one value: some tenths of a second.
pub(super) const STEPS_MAX: u64 = 1_000_000;
/// Texts and lists are gone through so many bytes and entries in one step.
const BYTES_PER_STEP: usize = 64;
const ENTRIES_PER_STEP: usize = 16;

/// Parts that are applied to the same value.
const HERE: [&str; 4] = ["not", "if", "then", "else"];
const HERE_LISTS: [&str; 3] = ["allOf", "anyOf", "oneOf"];
const HERE_MAPS: [&str; 2] = ["dependentSchemas", "dependencies"];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// Parts that are applied to properties without a word about their names, and to items.
const OTHERS: [&str; 2] = ["additionalProperties", "unevaluatedProperties"];
const ITEMS: [&str; 4] = ["items", "additionalItems", "unevaluatedItems", "contains"];
/// Parts that nothing is applied to until they are named.
const SHELVES: [&str; 2] = ["$defs", "definitions"];
/// Words that go through a whole text.
const OF_TEXTS: [&str; 4] = ["pattern", "format", "minLength", "maxLength"];

/// One place of a schema: what it applies, by number.
#[derive(Debug, Default)]
struct Place {
    here: Vec<usize>,
    named: BTreeMap<String, usize>,
    others: Vec<usize>,
    every_property: Vec<usize>,
    names: Vec<usize>,
    first_items: Vec<usize>,
    items: Vec<usize>,
    shelved: Vec<usize>,
    /// Steps without the parts.
    weight: u64,
    /// How often a text is gone through, and each name of a property.
    texts: usize,
    name_patterns: usize,
    unique: bool,
    /// What is left over is known only after the parts were asked once more.
    again: bool,
}

/// All places; the first is the whole.
#[derive(Debug)]
pub(super) struct Graph {
    places: Vec<Place>,
    /// How many patterns there are.
    pub(super) patterns: usize,
}

/// A value takes more work than is done.
#[derive(Debug)]
pub(super) struct TooMuch;

impl Graph {
    /// Goes through all of a schema.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(super) fn of(schema: &Value) -> Result<Self, String> {
        let own_name = if is_draft_4(schema) { "id" } else { "$id" };
        let mut walk = Walk {
            root: schema,
            own_name,
            anchors: anchors(schema),
            known: HashMap::new(),
            todo: Vec::new(),
            patterns: 0,
        };
        walk.number(schema, "");
        let mut places = Vec::new();
        while let Some((value, at)) = walk.todo.get(places.len()).cloned() {
            places.push(walk.place(value, &at)?);
        }
        let graph = Self { places, patterns: walk.patterns };
        graph.check_chains()?;
        let size = graph.expanded();
        if size > EXPANDED_MAX {
            return Err(format!(
                "with every $ref followed it has more than {EXPANDED_MAX} parts: refer less often to parts that refer to others"
            ));
        }
        Ok(graph)
    }

    /// No place may come back to itself for the same value, nor follow too many others for it.
    fn check_chains(&self) -> Result<(), String> {
        let mut before = vec![0_usize; self.places.len()];
        for to in self.places.iter().flat_map(|place| &place.here) {
            before[*to] += 1;
        }
        let mut ready: Vec<usize> = (0..self.places.len()).filter(|at| before[*at] == 0).collect();
        let (mut length, mut done) = (vec![1_usize; self.places.len()], 0);
        while let Some(at) = ready.pop() {
            done += 1;
            for to in &self.places[at].here {
                length[*to] = length[*to].max(length[at] + 1);
                before[*to] -= 1;
                if before[*to] == 0 {
                    ready.push(*to);
                }
            }
        }
        if done < self.places.len() {
            return Err("a $ref leads back to itself without going into the value".to_owned());
        }
        match length.into_iter().max() {
            Some(longest) if longest > CHAIN_MAX => Err(format!(
                "{longest} parts are applied one out of the other to the same value, expected at most {CHAIN_MAX}"
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// How many places are visited when every reference is followed, each way back once.
    fn expanded(&self) -> u64 {
        const OPEN: u64 = 1;
        let mut sizes: Vec<Option<u64>> = vec![None; self.places.len()];
        let mut path: Vec<(usize, Vec<usize>, u64)> = vec![(0, self.applied(0), 1)];
        sizes[0] = Some(OPEN);
        let mut whole = 1;
        while let Some((at, rest, size)) = path.last_mut() {
            match rest.pop() {
                Some(next) => match sizes[next] {
                    Some(known) => *size = size.saturating_add(known),
                    None => {
                        sizes[next] = Some(OPEN);
                        path.push((next, self.applied(next), 1));
                    }
                },
                None => {
                    let (at, size) = (*at, *size);
                    sizes[at] = Some(size);
                    path.pop();
                    match path.last_mut() {
                        Some((_, _, outer)) => *outer = outer.saturating_add(size),
                        None => whole = size,
                    }
                }
            }
        }
        whole
    }

    fn applied(&self, at: usize) -> Vec<usize> {
        let place = &self.places[at];
        let lists = [
            &place.here,
            &place.others,
            &place.every_property,
            &place.names,
            &place.first_items,
            &place.items,
        ];
        lists.into_iter().flatten().chain(place.named.values()).copied().collect()
    }

    /// Whether a value can be checked with the steps that are taken at most.
    pub(super) fn afford(&self, value: &Value) -> Result<(), TooMuch> {
        self.visit(0, value, 1, &mut Budget(STEPS_MAX))
    }

    fn visit(&self, at: usize, value: &Value, depth: usize, budget: &mut Budget) -> Result<(), TooMuch> {
        let place = &self.places[at];
        if depth > DEPTH_MAX {
            return Err(TooMuch);
        }
        budget.pay(place.weight)?;
        for _ in 0..if place.again { 2 } else { 1 } {
            for part in &place.here {
                self.visit(*part, value, depth + 1, budget)?;
            }
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
            Value::String(text) => budget.pay(steps(text.len(), BYTES_PER_STEP) * steps(place.texts, 1)),
            Value::Array(items) => {
                if place.unique {
                    budget.pay_for(value)?;
                }
                for (number, item) in items.iter().enumerate() {
                    for part in place.items.iter().chain(place.first_items.get(number)) {
                        self.visit(*part, item, depth + 1, budget)?;
                    }
                }
                Ok(())
            }
            Value::Object(properties) => self.visit_properties(place, properties, depth, budget),
        }
    }

    fn visit_properties(
        &self,
        place: &Place,
        properties: &Map<String, Value>,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<(), TooMuch> {
        for (name, value) in properties {
            budget.pay((1 + steps(name.len(), BYTES_PER_STEP)) * steps(place.name_patterns, 1))?;
            if !place.names.is_empty() {
                let name = Value::String(name.clone());
                for part in &place.names {
                    self.visit(*part, &name, depth + 1, budget)?;
                }
            }
            let own = place.named.get(name);
            let others = if own.is_some() { &[][..] } else { &place.others };
            for part in own.into_iter().chain(others).chain(&place.every_property) {
                self.visit(*part, value, depth + 1, budget)?;
            }
        }
        Ok(())
    }
}

/// Steps that are left.
struct Budget(u64);

impl Budget {
    fn pay(&mut self, steps: u64) -> Result<(), TooMuch> {
        self.0 = self.0.checked_sub(steps).ok_or(TooMuch)?;
        Ok(())
    }

    /// For going through all of a value.
    fn pay_for(&mut self, value: &Value) -> Result<(), TooMuch> {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.pay(1),
            Value::String(text) => self.pay(1 + steps(text.len(), BYTES_PER_STEP)),
            Value::Array(items) => {
                items.iter().try_for_each(|item| self.pay_for(item)).and_then(|()| self.pay(1))
            }
            Value::Object(properties) => {
                let mut all = properties.iter();
                all.try_for_each(|(name, value)| {
                    self.pay(1 + steps(name.len(), BYTES_PER_STEP))?;
                    self.pay_for(value)
                })
            }
        }
    }
}

fn steps(count: usize, per_step: usize) -> u64 {
    u64::try_from(count / per_step).unwrap_or(u64::MAX)
}

/// A schema that is gone through.
struct Walk<'a> {
    root: &'a Value,
    /// The word by which a part would be a document of its own.
    own_name: &'static str,
    /// `None`: the name stands twice.
    anchors: HashMap<&'a str, Option<&'a Value>>,
    /// The number of each place, by where it lies in memory.
    known: HashMap<*const Value, usize>,
    /// Places by number, with the way to them.
    todo: Vec<(&'a Value, String)>,
    patterns: usize,
}

impl<'a> Walk<'a> {
    fn number(&mut self, value: &'a Value, at: &str) -> usize {
        let next = self.todo.len();
        let number = *self.known.entry(std::ptr::from_ref(value)).or_insert(next);
        if number == next {
            self.todo.push((value, at.to_owned()));
        }
        number
    }

    fn place(&mut self, value: &'a Value, at: &str) -> Result<Place, String> {
        let Value::Object(schema) = value else { return Ok(Place { weight: 1, ..Place::default() }) };
        if !at.is_empty() && schema.get(self.own_name).is_some_and(Value::is_string) {
            let word = self.own_name;
            return Err(format!("{at}/{word}: only the whole schema has one, remove it"));
        }
        let mut place = Place { weight: weight(schema), ..Place::default() };
        place.texts = OF_TEXTS.iter().filter(|word| schema.contains_key(**word)).count();
        place.unique = schema.get("uniqueItems") == Some(&Value::Bool(true));
        place.again =
            ["unevaluatedProperties", "unevaluatedItems"].iter().any(|word| schema.contains_key(*word));
        self.same_value(schema, at, &mut place)?;
        self.properties(schema, at, &mut place)?;
        for word in ITEMS {
            match schema.get(word) {
                Some(Value::Array(parts)) => {
                    place.first_items.extend(self.list(parts, &format!("{at}/{word}")))
                }
                Some(part) => place.items.push(self.number(part, &format!("{at}/{word}"))),
                None => {}
            }
        }
        if let Some(Value::Array(parts)) = schema.get("prefixItems") {
            place.first_items.extend(self.list(parts, &format!("{at}/prefixItems")));
        }
        for word in SHELVES {
            place.shelved.extend(self.map(schema.get(word), &format!("{at}/{word}")).into_values());
        }
        Ok(place)
    }

    /// What is applied to the same value.
    fn same_value(
        &mut self,
        schema: &'a Map<String, Value>,
        at: &str,
        place: &mut Place,
    ) -> Result<(), String> {
        for word in HERE {
            place.here.extend(schema.get(word).map(|part| self.number(part, &format!("{at}/{word}"))));
        }
        for word in HERE_LISTS {
            if let Some(Value::Array(parts)) = schema.get(word) {
                place.here.extend(self.list(parts, &format!("{at}/{word}")));
            }
        }
        for word in HERE_MAPS {
            place.here.extend(self.map(schema.get(word), &format!("{at}/{word}")).into_values());
        }
        for word in REFERENCES {
            if let Some(Value::String(reference)) = schema.get(word) {
                let target = self.target(reference).ok_or_else(|| {
                    format!("{at}/{word}: {reference:?} is no part of this schema, expected one such as \"#/$defs/NAME\"")
                })?;
                place.here.push(self.number(target, reference));
            }
        }
        match schema.get("pattern") {
            Some(Value::String(pattern)) => self.pattern(pattern, &format!("{at}/pattern")),
            Some(_) | None => Ok(()),
        }
    }

    fn properties(
        &mut self,
        schema: &'a Map<String, Value>,
        at: &str,
        place: &mut Place,
    ) -> Result<(), String> {
        place.named = self.map(schema.get("properties"), &format!("{at}/properties"));
        let by_pattern = self.map(schema.get("patternProperties"), &format!("{at}/patternProperties"));
        for pattern in by_pattern.keys() {
            self.pattern(pattern, &format!("{at}/patternProperties"))?;
        }
        place.name_patterns = by_pattern.len();
        place.every_property = by_pattern.into_values().collect();
        place.names = schema
            .get("propertyNames")
            .map(|part| self.number(part, &format!("{at}/propertyNames")))
            .into_iter()
            .collect();
        for word in OTHERS {
            place.others.extend(schema.get(word).map(|part| self.number(part, &format!("{at}/{word}"))));
        }
        Ok(())
    }

    fn list(&mut self, parts: &'a [Value], at: &str) -> Vec<usize> {
        parts.iter().enumerate().map(|(number, part)| self.number(part, &format!("{at}/{number}"))).collect()
    }

    /// Those that are schemas: `dependencies` has lists of names, too.
    fn map(&mut self, parts: Option<&'a Value>, at: &str) -> BTreeMap<String, usize> {
        let Some(Value::Object(parts)) = parts else { return BTreeMap::new() };
        let schemas = parts.iter().filter(|(_, part)| part.is_object() || part.is_boolean());
        schemas.map(|(name, part)| (name.clone(), self.number(part, &format!("{at}/{name}")))).collect()
    }

    fn pattern(&mut self, pattern: &str, at: &str) -> Result<(), String> {
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(format!("{at}: it has more than {PATTERNS_MAX} patterns"));
        }
        if pattern.len() > PATTERN_BYTES_MAX {
            let bytes = pattern.len();
            return Err(format!("{at}: a pattern of {bytes} bytes, expected at most {PATTERN_BYTES_MAX}"));
        }
        Ok(())
    }

    /// What a reference names within the schema.
    fn target(&self, reference: &str) -> Option<&'a Value> {
        let part = reference.strip_prefix('#')?;
        if !part.is_empty() && !part.starts_with('/') {
            return self.anchors.get(part).copied().flatten();
        }
        let part = unescaped(part)?;
        let mut found = self.root;
        for step in part.split('/').skip(1) {
            found = found.pointer(&format!("/{step}"))?;
            // References in what is a document of its own lead elsewhere.
            if found.get(self.own_name).is_some_and(Value::is_string) {
                return None;
            }
        }
        Some(found)
    }
}

/// Steps for one place without its parts: more for long lists.
fn weight(schema: &Map<String, Value>) -> u64 {
    let lists = ["enum", "const", "required", "dependentRequired", "dependencies", "properties"];
    // Parts are counted where they are applied.
    let of_parts =
        |value: &Value| value.as_object().filter(|map| map.values().all(Value::is_object)).map(Map::len);
    let entries = lists.iter().filter_map(|word| schema.get(*word));
    let entries = entries.map(|value| of_parts(value).unwrap_or_else(|| size(value)));
    1 + entries.map(|count| steps(count, ENTRIES_PER_STEP)).sum::<u64>()
}

/// Values within a value, and its texts in pieces.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => 1 + text.len() / BYTES_PER_STEP,
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(|value| 1 + size(value)).sum::<usize>(),
    }
}

fn is_draft_4(schema: &Value) -> bool {
    schema.get("$schema").and_then(Value::as_str).is_some_and(|word| word.contains("draft-04"))
}

/// Names that parts give themselves.
fn anchors(schema: &Value) -> HashMap<&str, Option<&Value>> {
    let (mut found, mut todo): (HashMap<&str, Option<&Value>>, _) = (HashMap::new(), vec![schema]);
    while let Some(value) = todo.pop() {
        match value {
            Value::Object(map) => {
                for word in ["$anchor", "$dynamicAnchor"] {
                    if let Some(Value::String(name)) = map.get(word) {
                        found.entry(name).and_modify(|known| *known = None).or_insert(Some(value));
                    }
                }
                todo.extend(map.values());
            }
            Value::Array(items) => todo.extend(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    found
}

/// The fragment of a URI as a text.
fn unescaped(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}
