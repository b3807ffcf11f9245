//! Where in a program's output the result is: `text`, `json[:PATH]`, `jsonl[:PATH]`, `file`, and taking it out.
//!
//! A path is `.` or a row of steps: `.name`, `["any name"]`, `[0]`, `[-1]`. A result that is a text is its bytes; any other value
//! is its JSON. Not here: where the output comes from, and how long a result may be.

use serde_json::Value;

/// Where in the output the result is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ResultFormat {
    /// The whole output without one newline at its end.
    #[default]
    Text,
    /// A place in the one JSON value that the output is.
    Json(Path),
    /// A place in the last line, each a JSON value, that has it.
    JsonLines(Path),
    /// The file that `FUSION_OUTPUT` names, not the output.
    File,
}

/// Steps into a JSON value; none: the value itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path(Vec<Step>);

/// One step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Into an object.
    Key(String),
    /// Into a list; negative: from the end.
    Index(i64),
}

/// The forms, for messages.
pub(super) const FORMS: &str = "text, json[:PATH], jsonl[:PATH] or file";

/// Takes the result out of the standard output of a program.
///
/// # Errors
/// What is missing, in words for people; the output itself is not quoted.
pub fn extract(format: &str, stdout: &[u8]) -> Result<Vec<u8>, String> {
    ResultFormat::parse(format)?.extract(stdout)
}

impl ResultFormat {
    /// Reads the word of a profile.
    ///
    /// # Errors
    /// What was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (word, path) = text.split_once(':').map_or((text, None), |(word, path)| (word, Some(path)));
        let steps = || path.map_or(Ok(Path::default()), Path::parse);
        match (word, path) {
            ("text", None) => Ok(Self::Text),
            ("file", None) => Ok(Self::File),
            ("json", _) => Ok(Self::Json(steps()?)),
            ("jsonl", _) => Ok(Self::JsonLines(steps()?)),
            _ => Err(format!("expected {FORMS}, found \"{text}\"")),
        }
    }

    /// Takes the result out of the standard output; of `file`, nothing.
    ///
    /// # Errors
    /// What is missing, in words for people; the output itself is not quoted.
    pub fn extract(&self, stdout: &[u8]) -> Result<Vec<u8>, String> {
        match self {
            Self::Text => Ok(trimmed(stdout).to_vec()),
            Self::File => Ok(Vec::new()),
            Self::Json(path) => {
                let value: Value = serde_json::from_slice(stdout)
                    .map_err(|error| format!("the output is not JSON: {}", place(&error)))?;
                path.find(&value).map(bytes).ok_or_else(|| format!("the output is JSON without {path}"))
            }
            Self::JsonLines(path) => last_line(path, stdout),
        }
    }
}

/// Lines that are no JSON are passed over: programs greet and warn.
fn last_line(path: &Path, stdout: &[u8]) -> Result<Vec<u8>, String> {
    let lines = stdout.rsplit(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut values = 0;
    for line in lines {
        let Ok(value) = serde_json::from_slice::<Value>(line) else { continue };
        values += 1;
        if let Some(found) = path.find(&value) {
            return Ok(bytes(found));
        }
    }
    match values {
        0 => Err("no line of the output is JSON".into()),
        _ => Err(format!("no line of the output has {path}")),
    }
}

/// Line and column alone: the message of the library may quote the output.
fn place(error: &serde_json::Error) -> String {
    match error.line() {
        0 => "it is empty".into(),
        line => format!("see line {line}, column {}", error.column()),
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::String(text) => text.clone().into_bytes(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            value.to_string().into_bytes()
        }
    }
}

impl Path {
    /// Reads `.a.b[0]["c d"]`; the first point may be left out.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |at: usize| {
            format!(
                "expected a path such as .result or .items[0].text, found \"{text}\" (see byte {})",
                at + 1
            )
        };
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() && text != "." {
            let at = text.len() - rest.len();
            let (step, tail) = match rest.strip_prefix('[') {
                Some(inner) => bracket(inner).ok_or_else(|| wrong(at))?,
                None if rest.starts_with('.') || steps.is_empty() => {
                    let name = rest.strip_prefix('.').unwrap_or(rest);
                    let end = name.find(['.', '[', ']', '"']).unwrap_or(name.len());
                    if end == 0 && !(steps.is_empty() && name.starts_with('[')) {
                        return Err(wrong(at));
                    }
                    match end {
                        0 => bracket(&name[1..]).ok_or_else(|| wrong(at))?,
                        _ => (Step::Key(name[..end].to_owned()), &name[end..]),
                    }
                }
                None => return Err(wrong(at)),
            };
            steps.push(step);
            rest = tail;
        }
        Ok(Self(steps))
    }

    fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        self.0.iter().try_fold(value, |value, step| match step {
            Step::Key(key) => value.get(key),
            Step::Index(index) => {
                let list = value.as_array()?;
                let from = if *index < 0 { i64::try_from(list.len()).ok()? } else { 0 };
                list.get(usize::try_from(from + index).ok()?)
            }
        })
    }
}

impl Path {
    pub(super) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// A word that stands in every text of a value in which there is this place: of the names, the last that JSON writes
    /// in one way alone.
    pub(super) fn word(&self) -> Option<&str> {
        let is_plain =
            |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-. ".contains(&byte));
        self.0.iter().rev().find_map(|step| match step {
            Step::Key(key) => is_plain(key).then_some(key.as_str()),
            Step::Index(_) => None,
        })
    }
}

/// What stands behind a `[`, and what follows the `]`.
fn bracket(inner: &str) -> Option<(Step, &str)> {
    if inner.starts_with('"') {
        let mut values = serde_json::Deserializer::from_str(inner).into_iter::<String>();
        let key = values.next()?.ok()?;
        return Some((Step::Key(key), inner[values.byte_offset()..].strip_prefix(']')?));
    }
    let (number, tail) = inner.split_once(']')?;
    Some((Step::Index(number.parse::<i32>().ok()?.into()), tail))
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        self.0.iter().try_for_each(|step| match step {
            Step::Key(key) if !key.is_empty() && !key.contains(['.', '[', ']', '"']) => write!(f, ".{key}"),
            Step::Key(key) => write!(f, "[{}]", Value::String(key.clone())),
            Step::Index(index) => write!(f, "[{index}]"),
        })
    }
}

impl std::fmt::Display for ResultFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (word, path) = match self {
            Self::Text => return f.write_str("text"),
            Self::File => return f.write_str("file"),
            Self::Json(path) => ("json", path),
            Self::JsonLines(path) => ("jsonl", path),
        };
        match path.0.is_empty() {
            true => f.write_str(word),
            false => write!(f, "{word}:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(format: &str, stdout: &str) -> Result<String, String> {
        extract(format, stdout.as_bytes()).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn text_loses_one_newline() {
        for (stdout, result) in
            [("a\n", "a"), ("a", "a"), ("a\n\n", "a\n"), ("a\r\n", "a"), ("", ""), ("\n", "")]
        {
            assert_eq!(taken("text", stdout), Ok(result.into()), "{stdout:?}");
        }
        assert_eq!(extract("text", b"\xff\n").unwrap(), b"\xff");
    }

    #[test]
    fn a_place_in_json_is_found() {
        let stdout =
            r#" {"result": "done", "n": 1.5, "a.b": true, "items": [{"t": "x"}, {"t": "y"}], "null": null} "#;
        for (format, result) in [
            ("json:.result", "done"),
            ("json:result", "done"),
            ("json:.n", "1.5"),
            ("json:[\"a.b\"]", "true"),
            ("json:.[\"a.b\"]", "true"),
            ("json:.items[0].t", "x"),
            ("json:.items[-1].t", "y"),
            ("json:.items[1]", r#"{"t":"y"}"#),
            ("json:.null", "null"),
        ] {
            assert_eq!(taken(format, stdout), Ok(result.into()), "{format}");
        }
        assert_eq!(taken("json", "[1]\n"), Ok("[1]".into()));
        assert_eq!(taken("json:.", "\"x\""), Ok("x".into()));
    }

    #[test]
    fn the_last_line_that_has_it_counts() {
        let stdout =
            "hello\n{\"m\": {\"t\": \"first\"}}\n{\"m\": {\"t\": \"second\"}}\n{\"end\": 1}\n\nnoise\n";
        assert_eq!(taken("jsonl:.m.t", stdout), Ok("second".into()));
        assert_eq!(taken("jsonl", stdout), Ok("{\"end\":1}".into()));
    }

    #[test]
    fn what_is_missing_is_said_without_the_output() {
        for (format, stdout, message) in [
            ("json:.x", "{\"secret\": 1}", "the output is JSON without .x"),
            ("json:.x[0].y", "{\"x\": {}}", "the output is JSON without .x[0].y"),
            ("json", "secret", "the output is not JSON: see line 1, column 1"),
            ("json", "", "the output is not JSON: see line 1, column 0"),
            ("jsonl:.x", "secret\n", "no line of the output is JSON"),
            ("jsonl:.x", "{}\n", "no line of the output has .x"),
        ] {
            assert_eq!(taken(format, stdout), Err(message.into()), "{format} {stdout}");
        }
    }

    #[test]
    fn formats_read_back_and_bad_ones_say_what_was_expected() {
        for text in ["text", "json", "jsonl", "file", "json:.a[0][-2].b", "jsonl:[\"a b.c\"]", "json:.a b"] {
            assert_eq!(ResultFormat::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "yaml", "text:.x", "file:x", "JSON"] {
            let message = format!("expected text, json[:PATH], jsonl[:PATH] or file, found \"{text}\"");
            assert_eq!(ResultFormat::parse(text), Err(message));
        }
        for text in
            ["json:..", "json:.a..b", "json:.a[", "json:.a[x]", "json:.a[\"b]", "json:.a]b", "json:a[0]b"]
        {
            let error = ResultFormat::parse(text).unwrap_err();
            assert!(
                error.starts_with("expected a path such as .result or .items[0].text"),
                "{text}: {error}"
            );
        }
    }
}
