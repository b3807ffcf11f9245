//! Numbers in a program's output: what it cost, how many tokens models used.
//!
//! `json:PATH` is one place in the one JSON value that the output is; `jsonl:PATH` is a place in lines that are JSON values
//! each, and the numbers of all lines that have it are added up. A number may stand as a text. What was dropped from the
//! output joins nothing: the line around it says nothing, nor does the one value. Not here: where the output comes from,
//! which numbers make sense (`runtime::cost`), nor the result (`result`).

use super::result::Path;
use super::seek;

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

/// The longest JSON value in which numbers are looked for, bytes: an output as a whole, or one line. As much as the
/// longest result that other nodes use.
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

    /// Whether it is worth the while to read a value: the word is looked for faster.
    fn may_be_in(&self, text: &[u8]) -> bool {
        self.path.word().is_none_or(|word| contains(text, word.as_bytes()))
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
    /// The output as far as it came; `None` when nobody asks for it, when it got too long or has a gap.
    whole: Option<Vec<u8>>,
    /// Whether lines are asked for.
    by_line: bool,
    /// The present line as far as it came; `None` when it got too long or has a gap.
    line: Option<Vec<u8>>,
}

impl Sum {
    /// Nothing has passed yet.
    #[must_use]
    pub fn new(figures: Vec<Figure>) -> Self {
        let is_used = |form| figures.iter().any(|figure| figure.form == form);
        let (whole, by_line) = (is_used(Form::Json).then(Vec::new), is_used(Form::JsonLines));
        let found = vec![None; figures.len()];
        Self { figures, found, whole, by_line, line: Some(Vec::new()) }
    }

    /// Some more of the output.
    pub fn pass(&mut self, bytes: &[u8]) {
        keep(&mut self.whole, bytes);
        if !self.by_line {
            return;
        }
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            keep(&mut self.line, &rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        keep(&mut self.line, rest);
    }

    /// Some of the output is missing here: where the next line begins is known after the next newline alone.
    pub fn gap(&mut self) {
        self.whole = None;
        self.line = None;
    }

    /// Whether more of the output would change nothing.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.whole.is_none() && !self.by_line
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
        let is_value = [b'{', b'['].iter().any(|first| text.trim_ascii_start().first() == Some(first));
        for (figure, found) in self.figures.iter().zip(&mut self.found) {
            if is_value && figure.form == form && figure.may_be_in(text) {
                let number = seek::number(figure.path.steps(), text);
                *found = number.map_or(*found, |number| Some(found.unwrap_or(0.0) + number));
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

fn contains(text: &[u8], word: &[u8]) -> bool {
    word.is_empty() || text.windows(word.len()).any(|part| part == word)
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
    fn what_a_gap_cuts_says_nothing_and_joins_nothing() {
        let mut sum = Sum::new(vec![Figure::parse("jsonl:.a").unwrap(), Figure::parse("json:.a").unwrap()]);
        sum.pass(b"{\"a\": 1}\n{\"a\": 1");
        sum.gap();
        sum.pass(b"5}\n{\"a\": 2}\n");
        assert_eq!(sum.end(), [Some(3.0), None]);

        let mut sum = Sum::new(vec![Figure::parse("json:.a").unwrap()]);
        sum.gap();
        assert!(sum.is_over());
        sum.pass(b"{\"a\": 1}");
        assert_eq!(sum.end(), [None]);
    }

    #[test]
    fn only_a_value_that_may_have_a_figure_is_read() {
        let may_be = |figure: &str, text: &str| Figure::parse(figure).unwrap().may_be_in(text.as_bytes());
        assert!(may_be("jsonl:.usage.cost", "{\"usage\":{\"cost\":1}}"));
        assert!(!may_be("jsonl:.usage.cost", "{\"usage\":{\"price\":1}}"));
        assert!(may_be("jsonl:.cost[0]", "{\"cost\":[1]}") && !may_be("jsonl:.cost[0]", "[1]"));
        // JSON has more than one way to write these: every value is read.
        assert!(
            may_be("jsonl:.coût", "{}") && may_be("jsonl:.[\"a/b\"]", "{}") && may_be("jsonl:.[0]", "{}")
        );
        assert_eq!(summed(&["jsonl:.coût"], "{\"co\\u00fbt\": 2}\n{\"other\": 1}"), [Some(2.0)]);
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

        let mut sum = Sum::new(vec![Figure::parse("json:.a").unwrap()]);
        assert!(!sum.is_over());
        sum.pass(&vec![b' '; VALUE_BYTES_MAX + 1]);
        assert!(sum.is_over(), "nothing more need be read");
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
