//! What the breaker of an upstream looks like, whether requests go there or connections.
//!
//! It is one view, so that alerts, API, status and metrics tell of both in the same words.

use std::time::Duration;

use watertight_base::Tick;
use watertight_guard::breaker::{Breaker, Mode, Opening, Settings, State};
use watertight_layers::Forced;

/// The breaker of an upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct UpstreamBreakerView {
    /// What it does to calls, or connections.
    pub state: State,
    /// Whether that decides by itself.
    pub mode: Mode,
    /// Who said that the upstream is not called, if somebody did.
    pub forced: Option<Forced>,
    /// What opened it, while it is not closed again.
    pub opening: Option<Opening>,
    /// How long it will refuse, if it does. While it is forced open nobody knows, and this is what
    /// it would be otherwise at most.
    pub open_for: Option<Duration>,
}

impl UpstreamBreakerView {
    pub(crate) fn new(
        breaker: &Breaker,
        now: Tick,
        settings: &Settings,
        forced: Option<Forced>,
    ) -> Self {
        Self {
            state: breaker.state_shown(now, settings),
            mode: settings.mode,
            forced,
            opening: breaker.opening(now),
            open_for: breaker.refuses(now, settings),
        }
    }

    /// Whether the upstream is not called.
    pub fn is_refusing(&self) -> bool {
        self.open_for.is_some()
    }

    /// How long it will refuse, if it does and that is known: not while somebody forces it open.
    pub fn known_open_for(&self) -> Option<Duration> {
        self.open_for.filter(|_| self.mode != Mode::ForcedOpen)
    }

    /// What it does, since when and why, in words.
    pub fn says(&self) -> String {
        match (self.mode, self.forced, self.opening) {
            (_, Some(forced), _) => forced.says().to_owned(),
            (Mode::Disabled, _, _) => "switched off".to_owned(),
            (_, None, Some(opening)) => opening.says(self.state, self.open_for),
            (_, None, None) => self.state.label().to_owned(),
        }
    }
}
