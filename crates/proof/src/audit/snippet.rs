//! Lines of configuration, written so that they can be put in as they are.

use std::fmt::Write as _;

/// Tables and their keys.
#[derive(Debug, Default)]
pub(super) struct Snippet(String);

impl Snippet {
    /// Begins a table.
    pub(super) fn table(mut self, path: &[&str]) -> Self {
        let path: Vec<String> = path.iter().map(|name| key(name)).collect();
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        let _ = writeln!(self.0, "[{}]", path.join("."));
        self
    }

    /// Adds a key with a value that is TOML already.
    pub(super) fn set(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        let _ = writeln!(self.0, "{} = {value}", key(name));
        self
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A key, quoted where it must be.
pub(super) fn key(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    match !name.is_empty() && name.chars().all(bare) {
        true => name.to_owned(),
        false => string(name),
    }
}

/// A text.
pub(super) fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A list of texts.
pub(super) fn list<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(string).collect();
    format!("[{}]", texts.join(", "))
}

/// A table in one line; the values are TOML already.
pub(super) fn inline<'t>(pairs: impl IntoIterator<Item = (&'t str, String)>) -> String {
    let pairs = pairs.into_iter();
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{} = {value}", key(name)))
        .collect();
    match pairs.is_empty() {
        true => "{}".to_owned(),
        false => format!("{{ {} }}", pairs.join(", ")),
    }
}
