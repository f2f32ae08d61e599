//! What is said when a configuration cannot be used: every problem, where it stands, and what to
//! do about it.
//!
//! A [`Problem`] carries the few lines of source around it, so that the source itself need not be
//! kept. Those lines are as written: a `${VARIABLE}` stays one, and what was put in its place is
//! never shown.

use std::{fmt, ops::Range};

use annotate_snippets::{
    AnnotationKind, Group, Level, Origin, Renderer, Snippet, renderer::DecorStyle,
};
use serde::Serialize;

/// Why a configuration cannot be used.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// There is no such file, or it cannot be read as text.
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        message: String,
    },
    /// The text is not TOML.
    NotToml(Box<Problem>),
    /// It is TOML, and a node would refuse to start with it.
    Problems {
        /// What is wrong, in the order of the file; never empty.
        problems: Vec<Problem>,
        /// Problems found beyond those, which are only counted.
        more: usize,
    },
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, Serialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do, or the nearest right key or word.
    pub help: Option<String>,
    /// A few words for the marked place.
    #[serde(skip)]
    pub label: String,
    /// The marked place, in bytes of the source.
    #[serde(skip)]
    pub span: Range<usize>,
    #[serde(skip)]
    excerpt: Excerpt,
}

/// Something that is allowed, and said aloud.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Note {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is to be known.
    pub message: String,
}

/// The lines around a marked place.
#[derive(Clone, Debug, Default)]
struct Excerpt {
    text: String,
    marked: Range<usize>,
}

impl Excerpt {
    /// Longest excerpt, in bytes. A place further along its line is named, not shown.
    const LENGTH_MAX: usize = 4_096;

    fn of(source: &str, span: &Range<usize>) -> Self {
        let first = source[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let last = source[span.end..]
            .find('\n')
            .map_or(source.len(), |at| span.end + at);
        let mut end = last.min(first + Self::LENGTH_MAX);
        while !source.is_char_boundary(end) {
            end -= 1;
        }
        if span.start > end {
            return Self::default();
        }
        Self {
            text: source[first..end].to_owned(),
            marked: span.start - first..span.end.min(end) - first,
        }
    }
}

impl Problem {
    pub(super) fn new(file: &str, source: &str, span: Range<usize>, message: &str) -> Self {
        let span = inside(source, span);
        let (line, column) = position(source, span.start);
        Self {
            file: file.to_owned(),
            line,
            column,
            message: printable(message),
            help: None,
            label: String::new(),
            excerpt: Excerpt::of(source, &span),
            span,
        }
    }

    fn report(&self) -> Vec<Group<'_>> {
        let title = Level::ERROR.primary_title(&self.message);
        let mut group = if self.excerpt.text.is_empty() {
            title.element(
                Origin::path(&self.file)
                    .line(self.line)
                    .char_column(self.column),
            )
        } else {
            let label = (!self.label.is_empty()).then_some(self.label.as_str());
            title.element(
                Snippet::source(&self.excerpt.text)
                    .line_start(self.line)
                    .path(&self.file)
                    .annotation(
                        AnnotationKind::Primary
                            .span(self.excerpt.marked.clone())
                            .label(label),
                    ),
            )
        };
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        vec![group]
    }
}

impl Note {
    pub(super) fn new(file: &str, source: &str, span: Range<usize>, message: &str) -> Self {
        let (line, column) = position(source, inside(source, span).start);
        Self {
            file: file.to_owned(),
            line,
            column,
            message: printable(message),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}:{}: {}",
            self.file, self.line, self.column, self.message
        )
    }
}

impl Failure {
    /// What `watertight check` exits with: 1 when a node would refuse the configuration, 2 when
    /// there is none or it is not TOML.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Problems { .. } => 1,
            Self::Unreadable { .. } | Self::NotToml(_) => 2,
        }
    }

    /// The problems that have a place in the file.
    pub fn problems(&self) -> &[Problem] {
        match self {
            Self::Unreadable { .. } => &[],
            Self::NotToml(problem) => std::slice::from_ref(problem),
            Self::Problems { problems, .. } => problems,
        }
    }

    /// The text for a person: each problem with its lines of source, and a verdict as the last
    /// line.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for problem in self.problems() {
            text.push_str(&renderer.render(&problem.report()));
            text.push_str("\n\n");
        }
        let verdict = self.verdict();
        let title = Level::ERROR.primary_title(verdict.as_str());
        text.push_str(&renderer.render(&[Group::with_title(title)]));
        text.push('\n');
        text
    }

    /// The same for a program: `{"errors": [{file, line, column, message, help}], "more": 0}`.
    pub fn to_json(&self) -> serde_json::Value {
        let more = match self {
            Self::Problems { more, .. } => *more,
            Self::Unreadable { .. } | Self::NotToml(_) => 0,
        };
        match self {
            Self::Unreadable { file, message } => serde_json::json!({
                "errors": [{
                    "file": file, "line": null, "column": null, "message": message, "help": null,
                }],
                "more": more,
            }),
            _ => serde_json::json!({ "errors": self.problems(), "more": more }),
        }
    }

    /// The verdict and each problem in a line, without excerpts: what may be logged and shown to
    /// those who watch a node, because a bad line can hold a secret.
    pub fn summary(&self) -> String {
        let mut text = self.verdict();
        for Problem {
            file,
            line,
            column,
            message,
            ..
        } in self.problems()
        {
            text.push_str(&format!("\n{file}:{line}:{column}: {message}"));
        }
        text
    }

    fn verdict(&self) -> String {
        match self {
            Self::Unreadable { file, message } => format!("{file}: {message}"),
            Self::NotToml(problem) => format!("{} is not TOML", problem.file),
            Self::Problems { problems, more } => {
                let file = problems.first().map_or("", |problem| &problem.file);
                match (problems.len() + more, more) {
                    (1, _) => format!("{file} cannot be used: 1 problem"),
                    (count, 0) => format!("{file} cannot be used: {count} problems"),
                    (count, _) => format!(
                        "{file} cannot be used: {count} problems, of which the first {} are shown",
                        problems.len()
                    ),
                }
            }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(false).trim_end())
    }
}

impl std::error::Error for Failure {}

/// `span`, cut to lie inside `source` and on character boundaries.
fn inside(source: &str, span: Range<usize>) -> Range<usize> {
    let boundary = |mut at: usize| {
        at = at.min(source.len());
        while !source.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = boundary(span.start);
    start..boundary(span.end).max(start)
}

/// Line and column of the byte `at`, both from 1.
fn position(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..at];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

/// `text`, short and without anything that a terminal would obey.
pub(super) fn printable(text: &str) -> String {
    const LENGTH_MAX: usize = 600;
    let mut clean = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == LENGTH_MAX {
            clean.push('…');
            break;
        }
        if character.is_control() {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_and_in_characters() {
        let source = "a = 1\nbö = 2\n";
        assert_eq!(position(source, 0), (1, 1));
        assert_eq!(position(source, 6), (2, 1));
        assert_eq!(position(source, 10), (2, 4));
        assert_eq!(position(source, source.len()), (3, 1));
    }

    #[test]
    fn a_message_cannot_drive_a_terminal() {
        assert_eq!(printable("a\u{1b}[31m"), "a\\u{1b}[31m");
        assert!(printable(&"x".repeat(10_000)).len() < 700);
    }

    #[test]
    fn a_place_far_along_its_line_is_named_and_not_shown() {
        let source = format!("a = \"{}\" z", "x".repeat(10_000));
        let at = source.len() - 1;
        let problem = Problem::new("f", &source, at..at + 1, "wrong");
        assert!(problem.excerpt.text.is_empty());
        let text = Failure::NotToml(Box::new(problem)).render(false);
        assert!(text.contains(&format!("f:1:{}", at + 1)), "{text}");
    }
}
