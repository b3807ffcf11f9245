//! A Rust file as tokens: comments and literals told apart from code, and the paths that code names.
//!
//! A full parser would be truer and slower to build; the rules need words, braces and paths only. Macros are read
//! as the tokens they are.

/// One file.
pub(crate) struct Source {
    /// Path from the root of the checkout.
    pub(crate) path: String,
    /// The text as it stands.
    pub(crate) text: String,
    /// The code in it, without comments.
    pub(crate) tokens: Vec<Token>,
}

/// A piece of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Counted from one.
    pub(crate) line: usize,
}

/// What a piece of code is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or keyword.
    Word(String),
    /// The content of a string literal, escapes untouched.
    Text(String),
    /// `::`.
    PathSeparator,
    /// Any other character.
    Sign(char),
}

/// A path that the code names, such as `crate::store::Journal`, with the trees of `use` spread out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) parts: Vec<String>,
    /// Counted from one.
    pub(crate) line: usize,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned(), tokens: tokenize(text) }
    }

    /// Every path of two or more parts, and every single word behind `use`.
    pub(crate) fn paths(&self) -> Vec<Named> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < self.tokens.len() {
            if self.word(at).is_some() {
                at = self.read_path(at, &[], &mut found);
            } else {
                at += 1;
            }
        }
        found
    }

    /// The word at `at`, if one is there.
    pub(crate) fn word(&self, at: usize) -> Option<&str> {
        match self.tokens.get(at).map(|token| &token.kind) {
            Some(Kind::Word(word)) => Some(word),
            Some(Kind::Text(_) | Kind::PathSeparator | Kind::Sign(_)) | None => None,
        }
    }

    /// Whether the sign `sign` stands at `at`.
    pub(crate) fn is_sign(&self, at: usize, sign: char) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Sign(sign))
    }

    fn is_separator(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::PathSeparator)
    }

    /// Reads the path that begins with the word at `at`; answers where reading goes on.
    fn read_path(&self, mut at: usize, before: &[String], found: &mut Vec<Named>) -> usize {
        let line = self.tokens[at].line;
        let mut parts = before.to_vec();
        while let Some(word) = self.word(at) {
            parts.push(word.to_owned());
            at += 1;
            if !self.is_separator(at) {
                break;
            }
            at += 1;
            if self.is_sign(at, '{') {
                return self.read_group(at + 1, &parts, found);
            }
        }
        if parts.len() > 1 {
            found.push(Named { parts, line });
        }
        at
    }

    /// Reads the group of a `use` tree whose brace is just behind `at`; answers where reading goes on.
    fn read_group(&self, mut at: usize, before: &[String], found: &mut Vec<Named>) -> usize {
        while at < self.tokens.len() && !self.is_sign(at, '}') {
            at = match self.word(at) {
                Some("as") => at + 2,
                Some(_) => self.read_path(at, before, found),
                None => at + 1,
            };
        }
        at + 1
    }
}

fn tokenize(text: &str) -> Vec<Token> {
    let mut reader = Reader { chars: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while reader.at < reader.chars.len() {
        reader.token();
    }
    reader.tokens
}

struct Reader {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Reader {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn advance(&mut self) -> char {
        let c = self.peek(0);
        self.at += 1;
        self.line += usize::from(c == '\n');
        c
    }

    fn push(&mut self, kind: Kind, line: usize) {
        self.tokens.push(Token { kind, line });
    }

    fn token(&mut self) {
        let line = self.line;
        match (self.peek(0), self.peek(1)) {
            ('/', '/') => self.line_comment(),
            ('/', '*') => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.quote(),
            ('r', '"' | '#') if self.is_raw_string(1) => self.raw_string(1),
            ('b' | 'c', 'r') if self.is_raw_string(2) => self.raw_string(2),
            ('b' | 'c', '"') => {
                self.advance();
                self.string();
            }
            ('b', '\'') => {
                self.advance();
                self.quote();
            }
            (':', ':') => {
                self.at += 2;
                self.push(Kind::PathSeparator, line);
            }
            (c, _) if c.is_alphabetic() || c == '_' => self.name(),
            (c, _) if c.is_numeric() => self.number(),
            _ => {
                let c = self.advance();
                if !c.is_whitespace() {
                    self.push(Kind::Sign(c), line);
                }
            }
        }
    }

    fn line_comment(&mut self) {
        while self.at < self.chars.len() && self.peek(0) != '\n' {
            self.at += 1;
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            let step = match (self.peek(0), self.peek(1)) {
                ('/', '*') => 1,
                ('*', '/') => -1,
                _ => 0,
            };
            depth += step;
            self.advance();
            if step != 0 {
                self.advance();
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        let line = self.line;
        self.advance();
        let mut content = String::new();
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                content.push(self.advance());
            }
            content.push(self.advance());
        }
        self.advance();
        self.push(Kind::Text(content), line);
    }

    /// Whether `#…#"` or `"` begins `ahead` of here.
    fn is_raw_string(&self, ahead: usize) -> bool {
        let hashes = self.chars[self.at + ahead..].iter().take_while(|c| **c == '#').count();
        self.peek(ahead + hashes) == '"'
    }

    fn raw_string(&mut self, ahead: usize) {
        let line = self.line;
        self.at += ahead;
        let mut hashes = 0;
        while self.peek(0) == '#' {
            hashes += 1;
            self.at += 1;
        }
        self.advance();
        let mut content = String::new();
        while self.at < self.chars.len() {
            let c = self.advance();
            if c == '"' && (0..hashes).all(|ahead| self.peek(ahead) == '#') {
                self.at += hashes;
                break;
            }
            content.push(c);
        }
        self.push(Kind::Text(content), line);
    }

    /// A character or a lifetime; neither says anything to the rules.
    fn quote(&mut self) {
        self.advance();
        if self.peek(0) == '\\' {
            self.at += 2;
            while self.at < self.chars.len() && self.peek(0) != '\'' {
                self.at += 1;
            }
            self.at += 1;
        } else if self.peek(1) == '\'' {
            self.advance();
            self.advance();
        } else {
            while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
                self.at += 1;
            }
        }
    }

    fn name(&mut self) {
        let line = self.line;
        let mut word = String::new();
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            word.push(self.advance());
        }
        self.push(Kind::Word(word), line);
    }

    fn number(&mut self) {
        while self.peek(0).is_alphanumeric() || self.peek(0) == '_' {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::new("a.rs", text).paths().iter().map(|named| named.parts.join("::")).collect()
    }

    #[test]
    fn comments_and_literals_hold_no_code() {
        let text = "// unsafe\n/* unsafe /* unsafe */ unsafe */ let s = \"unsafe \\\" unsafe\"; r#\"unsafe\"# b'\\'' 'x' 'a";
        let source = Source::new("a.rs", text);
        let words: Vec<&str> = (0..source.tokens.len()).filter_map(|at| source.word(at)).collect();
        assert_eq!(words, ["let", "s"]);
    }

    #[test]
    fn a_use_tree_is_spread_into_its_paths() {
        assert_eq!(
            paths("use crate::{store::{Journal, sled_tree as tree}, engine};"),
            ["crate::store::Journal", "crate::store::sled_tree", "crate::engine"]
        );
    }

    #[test]
    fn a_path_in_an_expression_is_found() {
        assert_eq!(
            paths("let a = fusion_core::step(x, super::y::<T>(z));"),
            ["fusion_core::step", "super::y"]
        );
    }

    #[test]
    fn lines_are_counted_through_strings_and_comments() {
        let source = Source::new("a.rs", "\"\n\n\" /*\n*/ word");
        assert_eq!(source.tokens.last().map(|token| token.line), Some(4));
    }
}
