//! A finding: how bad, what, by which numbers, where, and what mends it.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::snippet;

/// How bad something is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The evidence is there.
    Ok,
    /// Evidence is missing, or somebody should defend a choice.
    Missing,
    /// There is a way through the walls.
    Hole,
}

/// What was found at one place.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// A sentence. Its numbers are among `figures` or in `sum`; tiers are names.
    pub says: String,
    /// Its numbers, by what they count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, f64>,
    /// The arithmetic behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sum: Option<Sum>,
    /// Where in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<Place>,
    /// What mends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// So much and so much of so many.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Sum {
    /// What is added.
    pub parts: Vec<Part>,
    /// What that comes to.
    pub total: u64,
    /// What it is a part of.
    pub of: Part,
    /// What is left of that; below nothing where it is too much.
    pub left: i64,
}

/// A name and its number.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Part {
    /// What it is of.
    pub name: String,
    /// How many.
    pub number: u64,
}

/// A place in the configuration.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Place {
    /// The keys on the way to it.
    pub path: Vec<String>,
    /// The file, where the line is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
}

/// What mends a finding.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Fix {
    /// What to do.
    pub says: String,
    /// Lines for the configuration: each key takes the place of the one of the same name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
}

impl Severity {
    /// The word for it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Missing => "missing",
            Self::Hole => "HOLE",
        }
    }
}

impl Finding {
    pub(super) fn new(severity: Severity, says: impl Into<String>) -> Self {
        Self {
            severity,
            says: says.into(),
            figures: BTreeMap::new(),
            sum: None,
            place: None,
            fix: None,
        }
    }

    pub(super) fn ok(says: impl Into<String>) -> Self {
        Self::new(Severity::Ok, says)
    }

    pub(super) fn missing(says: impl Into<String>) -> Self {
        Self::new(Severity::Missing, says)
    }

    pub(super) fn hole(says: impl Into<String>) -> Self {
        Self::new(Severity::Hole, says)
    }

    pub(super) fn figure(mut self, name: &str, number: impl Into<f64>) -> Self {
        self.figures.insert(name.to_owned(), number.into());
        self
    }

    pub(super) fn sum(mut self, sum: Sum) -> Self {
        self.sum = Some(sum);
        self
    }

    pub(super) fn at(mut self, path: &[&str]) -> Self {
        self.place = Some(Place {
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            file: None,
            line: None,
        });
        self
    }

    pub(super) fn mend(self, says: impl Into<String>, toml: impl Into<String>) -> Self {
        self.fix(Fix {
            says: says.into(),
            toml: Some(toml.into()),
        })
    }

    pub(super) fn advise(self, says: impl Into<String>) -> Self {
        self.fix(Fix {
            says: says.into(),
            toml: None,
        })
    }

    pub(super) fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}

impl Sum {
    /// The sum of `parts`, of `number` of `name`.
    pub(super) fn new(
        parts: impl IntoIterator<Item = (String, u32)>,
        name: impl Into<String>,
        number: u32,
    ) -> Self {
        let parts = parts.into_iter().map(|(name, number)| Part {
            name,
            number: number.into(),
        });
        let parts: Vec<Part> = parts.collect();
        // At most a few thousand parts of at most a few million each.
        let total: u64 = parts.iter().map(|part| part.number).sum();
        Self {
            total,
            left: i64::from(number).saturating_sub_unsigned(total),
            of: Part {
                name: name.into(),
                number: number.into(),
            },
            parts,
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, part) in self.parts.iter().enumerate() {
            let plus = if at == 0 { "" } else { " + " };
            write!(f, "{plus}{} {}", part.name, part.number)?;
        }
        if self.parts.len() > 1 {
            write!(f, " = {}", self.total)?;
        }
        write!(
            f,
            " of {} in {}, {} left",
            self.of.number, self.of.name, self.left
        )
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some(line)) = (&self.file, self.line) {
            write!(f, "{file}:{line}: ")?;
        }
        let keys: Vec<String> = self.path.iter().map(|key| snippet::key(key)).collect();
        f.write_str(&keys.join("."))
    }
}
