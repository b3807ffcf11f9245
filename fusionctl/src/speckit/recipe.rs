//! Recipes of goose, which is how spec-kit gives goose its commands: a prompt in which words are filled in.
//!
//! Not for: what else a recipe asks of goose, such as tools and the form of the answer; the profile decides that.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use fusion_workflow::tree::{Kind, Tree};
use fusion_workflow::{template, yaml};
use serde_json::{Map, Value};

use crate::error::{Complaint, Stop};
use crate::files;

/// The longest recipe.
const FILE_BYTES_MAX: usize = 1 << 20;

/// What a recipe may ask of goose that no other agent knows.
const OF_GOOSE: [&str; 4] = ["response", "retry", "settings", "sub_recipes"];

/// A recipe that is to be followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recipe {
    /// Its file.
    pub(super) path: String,
    /// What is filled in, by name.
    pub(super) params: BTreeMap<String, String>,
}

/// What an agent is told by a recipe.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The prompt, with everything filled in.
    pub(super) prompt: String,
    /// What the recipe asks for besides.
    pub(super) others: Vec<String>,
}

impl Recipe {
    /// Reads the file, and fills in what is given.
    pub(super) fn read(&self) -> Result<Told, Stop> {
        let unreadable = |error: &io::Error| Stop::from(Complaint::unreadable(&self.path, error));
        let bytes = files::read(Path::new(&self.path), FILE_BYTES_MAX).map_err(|error| unreadable(&error))?;
        let bytes = bytes.ok_or_else(|| unreadable(&io::Error::from(io::ErrorKind::NotFound)))?;
        let told =
            String::from_utf8(bytes).map_err(|error| error.to_string()).and_then(|text| self.fill(&text));
        told.map_err(|why| {
            let complaint = Complaint::usage(format!("the recipe {} cannot be followed", self.path));
            complaint.detail(why).hint("values are given with --params NAME=VALUE").into()
        })
    }

    fn fill(&self, text: &str) -> Result<Told, String> {
        let tree = yaml::document(text).map_err(|problem| {
            let place = problem.span.map(|span| format!("line {}, column {}: ", span.line, span.column));
            format!("{}{}", place.unwrap_or_default(), problem.message)
        })?;
        let tree = tree.ok_or("it is empty")?;
        // goose's desktop keeps a recipe with notes of its own around it.
        let recipe = tree.get("recipe").unwrap_or(&tree);
        let context = Value::Object(self.values(recipe)?);
        let mut parts = Vec::new();
        for name in ["instructions", "prompt"] {
            let Some(part) = recipe.get(name).and_then(Tree::text) else { continue };
            let part = template::text(&part.text, &context)
                .map_err(|fault| format!("line {} of its {name}: {}", fault.line, fault.message))?;
            parts.push(part);
        }
        let prompt = parts.join("\n\n");
        if prompt.trim().is_empty() {
            return Err("it has neither a prompt nor instructions".to_owned());
        }
        let others = OF_GOOSE.iter().filter(|name| recipe.get(name).is_some());
        let others = others.map(|name| format!("`{name}` of {}", self.path)).collect();
        Ok(Told { prompt, others })
    }

    /// What is given, and for the rest what the recipe says itself.
    fn values(&self, recipe: &Tree) -> Result<Map<String, Value>, String> {
        let given = self.params.iter().map(|(name, value)| (name.clone(), Value::String(value.clone())));
        let mut values: Map<String, Value> = given.collect();
        for declared in recipe.get("parameters").map(Tree::items).unwrap_or_default() {
            let Some(name) = word(declared.get("key")).filter(|name| !values.contains_key(name)) else {
                continue;
            };
            match word(declared.get("default")) {
                Some(default) => drop(values.insert(name, Value::String(default))),
                None => return Err(format!("it needs a value for `{name}`")),
            }
        }
        Ok(values)
    }
}

/// A text, or what looks like a number or a truth value, as it is written.
fn word(tree: Option<&Tree>) -> Option<String> {
    match &tree?.kind {
        Kind::Text(text) => Some(text.text.clone()),
        Kind::Number(_, letters) => Some(letters.clone()),
        Kind::Bool(value) => Some(value.to_string()),
        Kind::Null | Kind::List(_) | Kind::Map(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(text: &str, params: &[(&str, &str)]) -> Result<Told, String> {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Recipe { path: "r.yaml".to_owned(), params }.fill(text)
    }

    const RECIPE: &str = "\
title: Plan
parameters:
- {key: args, input_type: string, requirement: optional, default: ''}
- {key: depth, input_type: number, requirement: optional, default: 2}
instructions: Be brief.
prompt: |2

  Plan \"{{args}}\" {{ depth }} deep.
    {{args}}
response: {json_schema: {}}
";

    #[test]
    fn a_recipe_becomes_a_prompt_with_what_is_given_and_its_own_values() {
        let told = fill(RECIPE, &[("args", "log\nin {{x}}")]).unwrap();
        assert_eq!(told.prompt, "Be brief.\n\n\nPlan \"log\nin {{x}}\" 2 deep.\n  log\nin {{x}}");
        assert_eq!(told.others, ["`response` of r.yaml"]);
        let told = fill(RECIPE, &[("depth", "9")]).unwrap();
        assert!(told.prompt.contains("Plan \"\" 9 deep."), "{told:?}");
        let nested = fill("name: n\nrecipe: {prompt: 'do {{it}}'}\n", &[("it", "this")]).unwrap();
        assert_eq!((nested.prompt.as_str(), nested.others), ("do this", Vec::new()));
    }

    #[test]
    fn a_recipe_that_cannot_be_followed_says_why() {
        for (text, why) in [
            ("", "it is empty"),
            ("prompt: [\n", "line 1, column 9: this is not YAML"),
            ("title: a", "it has neither a prompt nor instructions"),
            ("prompt: ''", "it has neither a prompt nor instructions"),
            ("prompt: 'a\n\n  {{ missing }}'", "line 2 of its prompt: "),
            (
                "parameters: [{key: args, requirement: required}]\nprompt: '{{args}}'",
                "it needs a value for `args`",
            ),
        ] {
            let told = fill(text, &[]).unwrap_err();
            assert!(told.starts_with(why), "{text}: {told}");
        }
    }
}
