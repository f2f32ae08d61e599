//! A bar on standard error, drawn only for a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// The bar of something that takes a while.
pub(super) struct Bar(ProgressBar);

impl Bar {
    pub(super) fn new() -> Self {
        let bar = ProgressBar::new(100);
        let style = ProgressStyle::with_template("{msg:32} [{bar:40}] {percent:>3} %  {elapsed}");
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        Self(bar)
    }

    /// Shows what is done, and how much of the whole.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to 100"
    )]
    pub(super) fn show(&self, what: String, overall_pct: f64) {
        self.0.set_message(what);
        self.0.set_position(overall_pct as u64);
    }

    /// Takes the bar away.
    pub(super) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
