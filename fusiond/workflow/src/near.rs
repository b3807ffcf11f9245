//! The known word that is nearest to an unknown one. Not for: what is done with either.

/// The nearest of `known` to `word`, if it is near enough to be what was meant; case and separators do not count.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(word);
    // A third of the letters may be wrong, and two in short words.
    let most = (wanted.len() / 3).max(2);
    let distances = known.into_iter().map(|known| (distance(&wanted, &plain(known)), known));
    let near = distances.filter(|(distance, known)| *distance <= most && *distance < plain(known).len());
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

/// `is "needs" meant?`, or what else there is to say.
pub fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, otherwise: &str) -> String {
    nearest(word, known).map_or_else(|| otherwise.to_owned(), |known| format!("is \"{known}\" meant?"))
}

/// The letters of a word, without case and separators.
pub(crate) fn plain(text: &str) -> Vec<char> {
    let letters = text.chars().take(128).filter(|letter| !matches!(letter, '_' | '-' | ' '));
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Levenshtein's distance, in characters.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != other);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_have_been_meant_is_near() {
        let known = ["needs", "prompt", "on_failure"];
        for (word, found) in [("need", Some("needs")), ("onFailure", Some("on_failure")), ("colour", None)] {
            assert_eq!(nearest(word, known), found, "{word}");
        }
    }
}
