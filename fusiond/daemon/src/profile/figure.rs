//! Numbers in a program's output: what it cost, how many tokens models used.
//!
//! `json:PATH` is one place in the one JSON value that the output is; `jsonl:PATH` is a place in lines that are JSON values
//! each, and the numbers of all lines that have it are added up. A number may stand as a text. Not here: where the output
//! comes from, nor the result (`result`).

use serde_json::Value;

use super::result::Path;

/// The place of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    form: Form,
    path: Path,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Json,
    JsonLines,
}

/// The longest JSON value in which numbers are looked for, bytes: an output as a whole, or one line.
pub const VALUE_BYTES_MAX: usize = 4 << 20;

impl Figure {
    /// Reads the word of a profile.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("expected json:PATH or jsonl:PATH, found \"{text}\"");
        let (form, path) = text.split_once(':').ok_or_else(expected)?;
        let form = match form {
            "json" => Form::Json,
            "jsonl" => Form::JsonLines,
            _ => return Err(expected()),
        };
        Ok(Self { form, path: Path::parse(path)? })
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let form = match self.form {
            Form::Json => "json",
            Form::JsonLines => "jsonl",
        };
        write!(f, "{form}:{}", self.path)
    }
}

/// Adds up numbers while the output passes by.
#[derive(Debug)]
pub struct Sum {
    figures: Vec<Figure>,
    /// One for each of `figures`, once there was a number.
    found: Vec<Option<f64>>,
    /// The present line, or the whole output, as far as it came; `None` when it got too long.
    whole: Option<Vec<u8>>,
    line: Option<Vec<u8>>,
}

impl Sum {
    /// Nothing has passed yet.
    #[must_use]
    pub fn new(figures: Vec<Figure>) -> Self {
        let is_used = |form| figures.iter().any(|figure| figure.form == form);
        let whole = is_used(Form::Json).then(Vec::new);
        let found = vec![None; figures.len()];
        Self { figures, found, whole, line: Some(Vec::new()) }
    }

    /// Some more of the output.
    pub fn pass(&mut self, bytes: &[u8]) {
        keep(&mut self.whole, bytes);
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            keep(&mut self.line, &rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        keep(&mut self.line, rest);
    }

    /// The output is over: one number for each figure, nothing where there was none.
    #[must_use]
    pub fn end(mut self) -> Vec<Option<f64>> {
        self.end_line();
        if let Some(whole) = self.whole.take() {
            self.add(Form::Json, &whole);
        }
        self.found
    }

    fn end_line(&mut self) {
        if let Some(line) = self.line.replace(Vec::new()) {
            self.add(Form::JsonLines, &line);
        }
    }

    fn add(&mut self, form: Form, text: &[u8]) {
        let is_used = self.figures.iter().any(|figure| figure.form == form);
        if !is_used
            || !text.trim_ascii_start().starts_with(b"{") && !text.trim_ascii_start().starts_with(b"[")
        {
            return;
        }
        let Ok(value) = serde_json::from_slice::<Value>(text) else { return };
        for (figure, found) in self.figures.iter().zip(&mut self.found) {
            if figure.form == form
                && let Some(number) = figure.path.find(&value).and_then(number)
            {
                *found = Some(found.unwrap_or(0.0) + number);
            }
        }
    }
}

fn keep(into: &mut Option<Vec<u8>>, bytes: &[u8]) {
    if let Some(kept) = into {
        match kept.len() + bytes.len() <= VALUE_BYTES_MAX {
            true => kept.extend_from_slice(bytes),
            false => *into = None,
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|number: &f64| number.is_finite() && *number >= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In pieces of every length, which changes nothing.
    fn summed(figures: &[&str], output: &str) -> Vec<Option<f64>> {
        let figures: Vec<Figure> = figures.iter().map(|text| Figure::parse(text).unwrap()).collect();
        let sums: Vec<_> = [1, 2, 7, output.len().max(1)]
            .map(|length| {
                let mut sum = Sum::new(figures.clone());
                output.as_bytes().chunks(length).for_each(|piece| sum.pass(piece));
                sum.end()
            })
            .into();
        assert!(sums.windows(2).all(|two| two[0] == two[1]), "{sums:?}");
        sums[0].clone()
    }

    #[test]
    fn one_value_says_its_numbers() {
        let output = "{\"type\": \"result\",\n \"total_cost_usd\": 0.0042,\n \"usage\": {\"in\": 7, \"out\": \"5\"}}\n";
        let figures = ["json:.total_cost_usd", "json:.usage.in", "json:usage.out", "json:.usage.none"];
        assert_eq!(summed(&figures, output), [Some(0.0042), Some(7.0), Some(5.0), None]);
        assert_eq!(summed(&["json:.a"], "no JSON {\"a\": 1}"), [None]);
    }

    #[test]
    fn lines_are_added_up() {
        let output = "hello\n{\"t\":\"turn\",\"usage\":{\"in\":1}}\n[]\n{\"usage\":{\"in\":2.5}}\n{\"usage\":{\"in\":-9}}";
        assert_eq!(
            summed(&["jsonl:.usage.in", "jsonl:.t", "json:.usage.in"], output),
            [Some(3.5), None, None]
        );
    }

    #[test]
    fn what_is_too_long_is_passed_over() {
        let mut sum = Sum::new(vec![Figure::parse("jsonl:.a").unwrap(), Figure::parse("json:.a").unwrap()]);
        sum.pass(b"{\"a\": 1, \"b\": \"");
        for _ in 0..5 {
            sum.pass(&vec![b'x'; 1 << 20]);
        }
        sum.pass(b"\"}\n{\"a\": 2}\n");
        assert_eq!(sum.end(), [Some(2.0), None]);
    }

    #[test]
    fn bad_places_say_what_was_expected() {
        for text in ["", "text", "file", "json", "yaml:.a"] {
            assert_eq!(
                Figure::parse(text),
                Err(format!("expected json:PATH or jsonl:PATH, found \"{text}\""))
            );
        }
        assert!(Figure::parse("json:.a..b").unwrap_err().starts_with("expected a path"));
        assert_eq!(Figure::parse("jsonl:.a[0].b").unwrap().to_string(), "jsonl:.a[0].b");
    }
}
