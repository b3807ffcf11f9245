//! Where the prompt stands in a command. Not here: the filling of it, nor the other ways in which it reaches a program
//! (the daemon's hands).

use super::Recipe;
use std::ops::Range;

impl Recipe {
    /// Whether the prompt stands in the program's arguments, where every user can read it.
    #[must_use]
    pub fn takes_prompt_on_argv(&self) -> bool {
        self.prompt == "argv" || self.command.iter().any(|argument| prompt_place(argument).is_some())
    }
}

/// Where the prompt goes in an argument of a command: the first such place, in bytes.
#[must_use]
pub fn prompt_place(argument: &str) -> Option<Range<usize>> {
    let found = |place: &str| argument.find(place).map(|at| at..at + place.len());
    ["{{ prompt }}", "{{prompt}}"].into_iter().filter_map(found).min_by_key(|place| place.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_holds_the_prompt_with_and_without_spaces() {
        let recipe =
            |word: &str| Recipe { command: vec!["say".to_owned(), word.to_owned()], ..Recipe::default() };
        assert!(recipe("-p={{prompt}}").takes_prompt_on_argv());
        assert!(recipe("{{ prompt }}").takes_prompt_on_argv());
        assert!(!recipe("{ prompt }").takes_prompt_on_argv());
        assert_eq!(prompt_place("a{{prompt}}{{ prompt }}"), Some(1..11));
    }
}
