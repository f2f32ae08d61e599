//! JSON for people and programs: objects indented, lists on one line, so that ten thousand latencies are no ten thousand
//! lines.

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};
use std::io::{self, Write};

/// The value as JSON, without a line feed at the end.
///
/// What cannot be JSON, such as a map keyed by a list, gives an empty text; reports have nothing of the kind.
pub(crate) fn text(value: &impl Serialize) -> String {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, Layout::default());
    if value.serialize(&mut serializer).is_err() {
        return String::new();
    }
    // The serializer writes nothing but UTF-8.
    String::from_utf8(bytes).unwrap_or_default()
}

#[derive(Debug, Default)]
struct Layout {
    depth: usize,
    has_keys: bool,
}

impl Layout {
    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"\n")?;
        (0..self.depth).try_for_each(|_| writer.write_all(b"  "))
    }
}

impl Formatter for Layout {
    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        self.has_keys = false;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.has_keys {
            self.line(writer)?;
        }
        self.has_keys = true;
        writer.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        is_first: bool,
    ) -> io::Result<()> {
        if !is_first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.has_keys = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn objects_are_indented_and_lists_are_not() {
        let value = json!({"a": [1, 2], "b": {"c": []}, "d": {}, "e": [{"f": 1}]});
        let expected = "{\n  \"a\": [1,2],\n  \"b\": {\n    \"c\": []\n  },\n  \"d\": {},\n  \"e\": [{\n    \"f\": 1\n  }]\n}";
        assert_eq!(super::text(&value), expected);
    }
}
