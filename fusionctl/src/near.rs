//! The known word that is nearest to an unknown one. Not for: what is done with either.

/// The nearest of `known` to `word`, if it is near enough to be what was meant; case and separators do not count.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = plain(word);
    // A third of the letters may be wrong, and two in short words.
    let most = (wanted.chars().count() / 3).max(2);
    let distances = known.into_iter().map(|known| (distance(&wanted, &plain(known)), known));
    let near = distances.filter(|(distance, known)| *distance <= most && *distance < plain(known).len());
    near.min_by_key(|(distance, _)| *distance).map(|(_, known)| known)
}

fn plain(text: &str) -> String {
    text.replace(['_', '-', ' '], "").to_ascii_lowercase()
}

/// Levenshtein's distance, in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for j in 0..b.len() {
            let replaced = diagonal + usize::from(letter != b[j]);
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
        let known = ["priority", "onLost", "key", "idleTimeout"];
        for (word, meant) in [
            ("proirity", Some("priority")),
            ("idle_timeout", Some("idleTimeout")),
            ("KEY", Some("key")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, known), meant, "{word}");
        }
    }

    #[test]
    fn distances_count_changed_letters() {
        assert_eq!((distance("", "abc"), distance("kitten", "sitting"), distance("key", "key")), (3, 3, 0));
    }
}
