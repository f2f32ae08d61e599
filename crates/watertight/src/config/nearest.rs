//! The right word that somebody most likely meant.

/// The candidate nearest to `word`, if any is near enough to be worth saying.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let fold = |text: &str| text.to_lowercase().replace('_', "-");
    if !(2..=200).contains(&word.len()) {
        return None;
    }
    let word = fold(word);
    let enough = |word: &str| (word.chars().count() / 3).max(1);
    let is_near =
        |word: &str, other: &str| strsim::damerau_levenshtein(word, other) <= enough(word);
    // `forced-closed` is no slip of `forced-open`: what is in each part decides.
    let is_near_by_parts = |other: &str| {
        let (parts, others) = (word.split('-'), other.split('-'));
        parts.clone().count() != others.clone().count()
            || parts.zip(others).all(|(part, other)| is_near(part, other))
    };
    candidates
        .into_iter()
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&word, &fold(candidate));
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= enough(&word))
        .filter(|(_, candidate)| is_near_by_parts(&fold(candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean …", when something is near.
pub(super) fn did_you_mean<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    nearest(word, candidates).map(|right| format!("did you mean `{right}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let words = ["token-bucket", "timeout", "tier"];
        assert_eq!(nearest("tokenbucket", words), Some("token-bucket"));
        assert_eq!(nearest("token_bucket", words), Some("token-bucket"));
        assert_eq!(nearest("tiemout", words), Some("timeout"));
        assert_eq!(nearest("xyz", words), None);
        assert_eq!(nearest("", words), None);
        assert_eq!(nearest("b", ["a"]), None);
    }

    #[test]
    fn the_opposite_of_a_word_is_not_what_was_meant() {
        let states = ["auto", "disabled", "forced-open", "metrics-only"];
        assert_eq!(nearest("forced-closed", states), None);
        assert_eq!(nearest("forced-opne", states), Some("forced-open"));
        assert_eq!(nearest("forcedopen", states), Some("forced-open"));
    }
}
