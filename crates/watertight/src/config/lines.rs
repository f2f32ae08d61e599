//! At which line of a configuration something stands, for reports about configurations that are right.

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// The lines of a configuration's keys.
#[derive(Debug)]
pub struct Lines<'t> {
    text: &'t str,
    table: Option<DeTable<'t>>,
}

impl<'t> Lines<'t> {
    /// The lines of `text`; none where it is not TOML.
    pub fn of(text: &'t str) -> Self {
        let table = DeTable::parse(text).ok();
        Self {
            text,
            table: table.map(Spanned::into_inner),
        }
    }

    /// The line, from 1, of the last key of `path` that is written there; none if not even the first is.
    pub fn of_path(&self, path: &[String]) -> Option<usize> {
        let mut table = self.table.as_ref()?;
        let mut line = None;
        for key in path {
            let Some((written, value)) = table.get_key_value(key.as_str()) else {
                break;
            };
            line = Some(self.line_at(written.span().start));
            match value.get_ref() {
                DeValue::Table(inner) => table = inner,
                _ => break,
            }
        }
        line
    }

    fn line_at(&self, byte: usize) -> usize {
        let before = self.text.as_bytes().iter().take(byte);
        before.filter(|byte| **byte == b'\n').count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_it_is_written_and_else_what_is_around_it() {
        let text =
            "[pools.database]\ncapacity = 2\n\n[pools.database.compartments.all]\nseats = 2\n";
        let lines = Lines::of(text);
        let line = |path: &[&str]| {
            let path: Vec<String> = path.iter().map(|key| (*key).to_owned()).collect();
            lines.of_path(&path)
        };
        assert_eq!(
            line(&["pools", "database", "compartments", "all", "seats"]),
            Some(5)
        );
        assert_eq!(line(&["pools", "database", "compartments", "all"]), Some(4));
        assert_eq!(line(&["pools", "database", "capacity"]), Some(2));
        assert_eq!(line(&["pools", "database", "alert"]), Some(1));
        assert_eq!(line(&["alerts"]), None);
        assert_eq!(Lines::of("= no").of_path(&["a".to_owned()]), None);
    }
}
