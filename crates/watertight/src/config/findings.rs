//! Collects what is found while a configuration is read, so that one mistake does not hide the
//! next.
//!
//! At most [`Findings::PROBLEMS_MAX`] problems are kept and the rest counted: a file with a hundred
//! thousand tenants on a misspelt plan has one thing wrong with it.

use std::{collections::HashMap, fmt, str::FromStr};

use super::{
    failure::{Failure, Note, Problem, printable},
    located::{Located, Span},
    path::Path,
};

/// Problems and notes of one source.
#[derive(Debug)]
pub(super) struct Findings<'a> {
    file: &'a str,
    source: &'a str,
    whole: Part,
    part: Option<Part>,
    problems: Vec<Problem>,
    taken_out: Vec<String>,
    /// Numbers that are wrong by themselves, for which others stand in: where, and where that is.
    stand_ins: Vec<(Span, String)>,
    more: usize,
    syntax: Option<Problem>,
    notes: Vec<Note>,
}

/// The whole source, or the part of it that is being read.
#[derive(Debug, Default)]
struct Part {
    /// Where in the source it begins.
    offset: usize,
    /// Values that came from the environment, by where they stand: what was put in, and what is
    /// written there.
    inserted: HashMap<usize, (String, String)>,
}

/// A problem before it is added: its place, its text, and what to do.
#[derive(Debug)]
pub(super) struct Finding {
    span: Span,
    message: String,
    label: String,
    help: Option<String>,
}

impl Finding {
    pub(super) fn new(span: &Span, message: impl fmt::Display) -> Self {
        Self {
            span: span.clone(),
            message: message.to_string(),
            label: String::new(),
            help: None,
        }
    }

    /// A few words for the marked place.
    pub(super) fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// What to do.
    pub(super) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }
}

/// What the parser says of a key or a table that was there before.
pub(super) const TWICE: &str = "duplicate key";

impl<'a> Findings<'a> {
    /// Problems kept; further ones are counted.
    const PROBLEMS_MAX: usize = 100;
    /// Notes kept.
    const NOTES_MAX: usize = 100;

    pub(super) fn new(file: &'a str, source: &'a str) -> Self {
        Self {
            file,
            source,
            whole: Part::default(),
            part: None,
            problems: Vec::new(),
            taken_out: Vec::new(),
            stand_ins: Vec::new(),
            more: 0,
            syntax: None,
            notes: Vec::new(),
        }
    }

    /// Says that what is read from now on is a part that begins at byte `offset` of the source.
    pub(super) fn enter_part(&mut self, offset: usize) {
        self.part = Some(Part {
            offset,
            inserted: HashMap::new(),
        });
    }

    /// Says that what is read from now on is the whole source again.
    pub(super) fn leave_part(&mut self) {
        self.part = None;
    }

    /// Adds what is wrong with the number at `path`, for which another stands in.
    pub(super) fn add_of_number(&mut self, finding: Finding, path: &Path) {
        let (span, known) = (self.shifted(&finding.span), self.problems.len());
        self.add(finding);
        if self.problems.len() > known {
            self.stand_ins.push((span, path.to_string()));
        }
    }

    /// Whether another number stands in for one whose path ends so.
    pub(super) fn stands_in(&self, end: &str) -> bool {
        self.stand_ins.iter().any(|(_, path)| path.ends_with(end))
    }

    pub(super) fn add(&mut self, finding: Finding) {
        let span = self.shifted(&finding.span);
        if self.stand_ins.iter().any(|(stands, _)| *stands == span) {
            // It is wrong about the number that stands in.
            return;
        }
        if self.problems.len() >= Self::PROBLEMS_MAX {
            self.more += 1;
            return;
        }
        let part = self.part.as_ref().unwrap_or(&self.whole);
        let hide = |text: &str| match part.inserted.get(&finding.span.start) {
            Some((value, written)) if !value.is_empty() => {
                let escaped = value.escape_debug().to_string();
                text.replace(value, written).replace(&escaped, written)
            }
            _ => text.to_owned(),
        };
        let mut problem = Problem::new(
            self.file,
            self.source,
            self.shifted(&finding.span),
            &hide(&finding.message),
        );
        problem.label = printable(&hide(&finding.label));
        problem.help = finding.help.map(|help| printable(&hide(&help)));
        let same = |other: &Problem| other.span == problem.span && other.message == problem.message;
        if !self.problems.iter().any(same) {
            self.problems.push(problem);
        }
    }

    /// A part that is not TOML. The first in the source is kept.
    pub(super) fn add_syntax(&mut self, span: &Span, message: &str) {
        let mut problem = Problem::new(self.file, self.source, self.shifted(span), message);
        if message == TWICE {
            let help = "a key or a table stands once: put what both say into one, or rename one";
            problem.help = Some(help.to_owned());
        }
        let earlier = |first: &Problem| first.span.start <= problem.span.start;
        if !self.syntax.as_ref().is_some_and(earlier) {
            self.syntax = Some(problem);
        }
    }

    /// Says that what stands at `path` is wrong and was taken out of the document.
    pub(super) fn take_out(&mut self, path: &Path) {
        if self.taken_out.len() < Self::PROBLEMS_MAX {
            self.taken_out.push(path.to_string());
        }
    }

    /// Whether something at `path` or below was taken out, so that its absence is no news.
    pub(super) fn was_taken_out(&self, path: &str) -> bool {
        let below = |taken: &String| match taken.strip_prefix(path) {
            Some(rest) => rest.is_empty() || rest.starts_with('.'),
            None => false,
        };
        self.taken_out.iter().any(below)
    }

    pub(super) fn note(&mut self, span: &Span, message: &str) {
        if self.notes.len() < Self::NOTES_MAX {
            let span = self.shifted(span);
            self.notes
                .push(Note::new(self.file, self.source, span, message));
        }
    }

    /// Remembers that the value at `span` is written `written` and stands for `value`, so that no
    /// message shows the latter.
    pub(super) fn remember_inserted(&mut self, span: &Span, value: &str, written: &str) {
        let pair = (value.to_owned(), written.to_owned());
        let part = self.part.as_mut().unwrap_or(&mut self.whole);
        part.inserted.insert(span.start, pair);
    }

    /// `text` as its type; a text that is not one is a problem.
    pub(super) fn parse<T>(&mut self, text: &Located<impl AsRef<str>>) -> Option<T>
    where
        T: FromStr<Err = watertight_base::Error>,
    {
        match text.as_ref().parse() {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(Finding::new(text.span(), error));
                None
            }
        }
    }

    /// `number` as its type; a number that is not one is a problem.
    pub(super) fn number<T, N>(&mut self, number: &Located<N>) -> Option<T>
    where
        N: Copy,
        T: TryFrom<N, Error = watertight_base::Error>,
    {
        match T::try_from(**number) {
            Ok(value) => Some(value),
            Err(error) => {
                self.add(Finding::new(number.span(), error));
                None
            }
        }
    }

    /// Whether all can be read on, since numbers stand in for whatever is wrong.
    pub(super) fn is_whole(&self) -> bool {
        self.problems.len() == self.stand_ins.len() && self.syntax.is_none()
    }

    pub(super) fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.syntax.is_none()
    }

    /// The notes, when nothing is wrong.
    pub(super) fn finish(mut self) -> Result<Vec<Note>, Failure> {
        if let Some(syntax) = self.syntax {
            return Err(Failure::NotToml(Box::new(syntax)));
        }
        if self.problems.is_empty() {
            return Ok(self.notes);
        }
        self.problems
            .sort_by_key(|problem| (problem.span.start, problem.span.end));
        Err(Failure::Problems {
            problems: self.problems,
            more: self.more,
        })
    }

    fn shifted(&self, span: &Span) -> Span {
        let offset = self.part.as_ref().map_or(0, |part| part.offset);
        span.start + offset..span.end + offset
    }
}
