//! Keys and words of the interface whose feature is not built yet.
//!
//! They are errors that say so, so that nobody believes in a wall that is not there. They are not
//! in the schema either: an editor offers what works. A row goes when its feature arrives.

use super::path::Path;

/// Tables and keys; `*` stands for any name or place in a list.
const KEYS: &[&str] = &["listen.postgres", "listen.ratelimit", "listen.sqs"];

/// Words, by the key that they are the value of.
const WORDS: &[(&str, &[&str])] = &[
    ("identity.tenant.*", &["certificate:san"]),
    ("pools.*.kind", &["postgres"]),
];

/// Whether the key at `path` is one.
pub(super) fn is_key(path: &Path) -> bool {
    KEYS.iter().any(|pattern| path.matches(pattern))
}

/// Whether `word`, as the value at `path`, is one.
pub(super) fn is_word(path: &Path, word: &str) -> bool {
    WORDS
        .iter()
        .any(|(pattern, words)| words.contains(&word) && path.matches(pattern))
}
