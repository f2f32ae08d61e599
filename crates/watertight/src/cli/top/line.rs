//! A line of a frame: pieces of text, each with a tone.

/// How a piece of text is meant; a terminal with colours shows it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Tone {
    Plain,
    Title,
    Faint,
    Good,
    Warning,
    Bad,
}

/// A line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Line(pub(super) Vec<(Tone, String)>);

impl Line {
    /// A line of one piece.
    pub(super) fn of(tone: Tone, text: impl AsRef<str>) -> Self {
        Self::default().add(tone, text)
    }

    /// The line with another piece; what a terminal would obey is left out.
    pub(super) fn add(mut self, tone: Tone, text: impl AsRef<str>) -> Self {
        let text = text.as_ref().chars().filter(|c| !c.is_control());
        self.0.push((tone, text.collect()));
        self
    }

    /// The line, at most `width` characters long.
    pub(super) fn cut(mut self, width: usize) -> Self {
        let mut left = width;
        for (_, text) in &mut self.0 {
            let length = text.chars().count();
            if length > left {
                *text = text.chars().take(left).collect();
            }
            left = left.saturating_sub(length);
        }
        self.0.retain(|(_, text)| !text.is_empty());
        self
    }

    /// Its text.
    pub(super) fn plain(&self) -> String {
        let text: String = self.0.iter().map(|(_, text)| text.as_str()).collect();
        text.trim_end().to_owned()
    }
}
