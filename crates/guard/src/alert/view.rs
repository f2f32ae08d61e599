//! What the alerts look like: the one truth behind status, metrics and notifications.

use watertight_base::Tick;

use super::Key;

/// An alert that is not inactive.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Which one.
    pub key: Key,
    /// What became of it.
    pub state: State,
    /// Since when that has been so.
    pub since: Tick,
    /// When the value reached its mark.
    pub began: Tick,
    /// What was measured last, in the unit of its kind; 0 of what is measured no longer.
    pub value: f64,
    /// The most that was measured since it began.
    pub peak: f64,
    /// It fires at this value and above.
    pub fires: f64,
    /// It is well below this value.
    pub clears: f64,
    /// Whether it is over because what it was about is there no longer.
    pub is_gone: bool,
    /// A sentence for people, as of when it was last in trouble. Whoever tells of an alert that is over
    /// says something else: how it is now.
    pub says: String,
}

impl Alert {
    pub(super) fn enter(&mut self, state: State, now: Tick) {
        self.state = state;
        self.since = now;
    }
}

/// What became of an alert.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// The value is at its mark, and not yet for long enough.
    Pending,
    /// Somebody should look.
    Firing,
    /// It is over, and still shown for a while.
    Resolved,
}

impl State {
    /// Its name in the API.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// All alerts that are not inactive.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardView {
    /// In the order of their keys.
    pub alerts: Vec<Alert>,
    /// Alerts of the last round that found no place.
    pub left_out: usize,
}

impl BoardView {
    /// Those that fire.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        let alerts = self.alerts.iter();
        alerts.filter(|alert| alert.state == State::Firing)
    }
}
