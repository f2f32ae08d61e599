//! Where in the document a value stands: `services.checkout.routes[1]`.

use std::fmt;

/// The way from the root to a value.
#[derive(Debug, Default)]
pub(super) struct Path(Vec<Step>);

/// One step of it.
#[derive(Debug)]
pub(super) enum Step {
    /// A key that the schema knows, or a name that the configuration gave.
    Key(String),
    /// A place in a list.
    Index(usize),
}

impl Path {
    pub(super) fn push(&mut self, step: Step) {
        self.0.push(step);
    }

    pub(super) fn pop(&mut self) {
        self.0.pop();
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the path is `pattern`, in which `*` stands for any one step.
    pub(super) fn matches(&self, pattern: &str) -> bool {
        let mut parts = pattern.split('.');
        let all = self.0.iter().all(|step| match (parts.next(), step) {
            (Some("*"), _) => true,
            (Some(part), Step::Key(key)) => part == key,
            _ => false,
        });
        all && parts.next().is_none()
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if place == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
