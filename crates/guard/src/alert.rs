//! Is it filling up? Alerts that come before the thing is full, and do not flap.
//!
//! **Decides** which of the measured things deserve somebody's look now. It is told what was measured
//! ([`Sample`]: a value, the mark from which on it fires, the mark below which it is well) and says
//! what changed ([`Effect`]). An alert goes from pending to firing to resolved:
//!
//! ```text
//!             value ≥ fires              for `after`              value < clears for `hold`
//!  (nothing) ───────────────▶ pending ───────────────▶ firing ───────────────────────────▶ resolved
//! ```
//!
//! **Does not care** what the values mean, where they come from, or who is told.
//!
//! **Laws.**
//! 1. What reaches its mark fires within `after`; with `after` of zero (the default, since an alert
//!    must come before the thing is full) at the first sample.
//! 2. A firing alert resolves only when its value stayed below the lower mark for `hold` at a
//!    stretch. A value that oscillates around the mark changes the state at most once.
//! 3. What is measured no longer counts as well.
//! 4. There are never more than `most` alerts; what found no place is counted.
//! 5. What an alert was about may cease to exist (a pool that went with a reload): then it is over at
//!    once, with nothing to hold it ([`Board::withdraw`]).
//!
//! The two marks are the hysteresis that Schmitt's trigger has; pending and resolved are as in
//! Prometheus (`for`, `keep_firing_for`).
//!
//! ```
//! use watertight_base::Tick;
//! use watertight_guard::alert::{Board, Effect, Key, Kind, Sample, Settings};
//!
//! let mut board = Board::new(Settings::default());
//! let sample = |held: f64| Sample {
//!     key: Key::new(Kind::CapFilling).with("service", "recommendations"),
//!     value: held,
//!     fires: 11.0,
//!     clears: 9.5,
//!     says: format!("{held} of 15 seats held"),
//! };
//! let mut effects = Vec::new();
//! board.on_samples(Tick::ZERO, [sample(10.0)], &mut effects);
//! assert!(effects.is_empty());
//! board.on_samples(Tick::from_nanos(1), [sample(11.0)], &mut effects);
//! assert!(matches!(&effects[..], [Effect::Fired(alert)] if alert.value == 11.0));
//! ```

mod kind;
mod mark;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use watertight_base::Tick;

pub use self::{
    kind::{Kind, Severity},
    mark::Wall,
    view::{Alert, BoardView, State},
};

/// Which alert it is: its kind, and what it is about.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key {
    /// What sort of trouble it tells of.
    pub kind: Kind,
    /// What it is about, by the names of labels. Values are names from the configuration.
    pub labels: BTreeMap<&'static str, String>,
}

impl Key {
    /// The alert of a kind that is about everything.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            labels: BTreeMap::new(),
        }
    }

    /// The same, about `value`. Values must be bounded by the configuration: tenants are named in
    /// [`Sample::says`] instead.
    #[must_use]
    pub fn with(mut self, label: &'static str, value: impl ToString) -> Self {
        self.labels.insert(label, value.to_string());
        self
    }
}

/// One thing, as it was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Which alert it belongs to.
    pub key: Key,
    /// What was measured, in the unit of [`Kind::unit`].
    pub value: f64,
    /// It fires at this value and above.
    pub fires: f64,
    /// It is well below this value, which is at most `fires`.
    pub clears: f64,
    /// A sentence for people: who holds what, and whom it concerns most.
    pub says: String,
}

/// How quick alerts are, and how many there may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settings {
    /// How long a value must be at its mark before the alert fires. Default 0: at once.
    pub after: Duration,
    /// How long it must be well before the alert resolves. Default 30 s.
    pub hold: Duration,
    /// How long a resolved alert is still shown. Default 15 min.
    pub remember: Duration,
    /// Alerts at once, resolved ones that are still shown included. Default 1024.
    pub most: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            after: Duration::ZERO,
            hold: Duration::from_secs(30),
            remember: Duration::from_secs(15 * 60),
            most: 1_024,
        }
    }
}

/// What somebody should be told.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It began to fire.
    Fired(Alert),
    /// It is over.
    Resolved(Alert),
}

/// All alerts. About 500 bytes for each that is not inactive; inactive ones take nothing.
#[derive(Clone, Debug)]
pub struct Board {
    settings: Settings,
    entries: BTreeMap<Key, Entry>,
    left_out: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    alert: Alert,
    /// Since when the value has been well at a stretch.
    well_since: Option<Tick>,
}

impl Board {
    /// No alerts.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            entries: BTreeMap::new(),
            left_out: 0,
        }
    }

    /// Changes the settings; alerts stay as they are. Fewer places than alerts: new ones find none.
    pub fn reload(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// Takes one round of samples into account: everything that is measured at all. Adds what
    /// changed to `effects`, in the order of the samples.
    pub fn on_samples(
        &mut self,
        now: Tick,
        samples: impl IntoIterator<Item = Sample>,
        effects: &mut Vec<Effect>,
    ) {
        self.left_out = 0;
        let mut measured = BTreeSet::new();
        for sample in samples {
            if self.entries.contains_key(&sample.key) {
                measured.insert(sample.key.clone());
            } else if sample.value >= sample.fires {
                if !self.make_room() {
                    self.left_out += 1;
                    continue;
                }
                measured.insert(sample.key.clone());
            } else {
                continue;
            }
            self.on_sample(now, sample, effects);
        }
        for (key, entry) in &mut self.entries {
            if !measured.contains(key) {
                // What is measured no longer holds and lacks nothing.
                entry.alert.value = 0.0;
                entry.step(now, &self.settings, Level::Well, effects);
            }
        }
        let remember = self.settings.remember;
        self.entries.retain(|_, entry| match entry.alert.state {
            State::Pending => entry.well_since.is_none(),
            State::Firing => true,
            State::Resolved => now - entry.alert.since < remember,
        });
    }

    /// Ends all alerts whose subject `is_gone`: there is nothing left that could get worse or well, and
    /// nobody could do anything about it. Those that fire resolve at once, those that are pending are
    /// forgotten.
    pub fn withdraw(
        &mut self,
        now: Tick,
        is_gone: impl Fn(&Key) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        self.entries.retain(|key, Entry { alert, well_since }| {
            if alert.state == State::Resolved || !is_gone(key) {
                return true;
            }
            let fired = alert.state == State::Firing;
            if fired {
                alert.value = 0.0;
                alert.is_gone = true;
                well_since.get_or_insert(now);
                alert.enter(State::Resolved, now);
                effects.push(Effect::Resolved(alert.clone()));
            }
            fired
        });
    }

    /// Whether there is none, not even one that is over.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes into account that a value came up to its mark at `at`, between two rounds. What was well
    /// again by the next round fired all the same, unless there is an `after`.
    pub fn on_crossing(&mut self, at: Tick, sample: Sample, effects: &mut Vec<Effect>) {
        if self.entries.contains_key(&sample.key) || self.make_room() {
            self.on_sample(at, sample, effects);
        } else {
            self.left_out += 1;
        }
    }

    /// What there is, in the order of keys.
    pub fn view(&self) -> BoardView {
        BoardView {
            alerts: self
                .entries
                .values()
                .map(|entry| entry.alert.clone())
                .collect(),
            left_out: self.left_out,
        }
    }

    fn on_sample(&mut self, now: Tick, sample: Sample, effects: &mut Vec<Effect>) {
        let level = Level::of(&sample);
        let entry = self
            .entries
            .entry(sample.key.clone())
            .or_insert_with(|| Entry::new(now, &sample));
        let alert = &mut entry.alert;
        alert.is_gone = false;
        alert.value = sample.value;
        alert.fires = sample.fires;
        alert.clears = sample.clears;
        // What it said when it was worst is what somebody who comes later wants to read.
        if level != Level::Well {
            alert.peak = alert.peak.max(sample.value);
            alert.says = sample.says;
        }
        entry.step(now, &self.settings, level, effects);
    }

    /// Whether another alert can be taken, after the oldest resolved one was given up if need be.
    fn make_room(&mut self) -> bool {
        if self.entries.len() >= self.settings.most {
            let resolved = self.entries.iter();
            let resolved = resolved.filter(|(_, entry)| entry.alert.state == State::Resolved);
            let oldest = resolved.min_by_key(|(_, entry)| entry.alert.since);
            if let Some(key) = oldest.map(|(key, _)| key.clone()) {
                self.entries.remove(&key);
            }
        }
        self.entries.len() < self.settings.most
    }
}

/// Where a value lies between its marks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Level {
    /// Below both.
    Well,
    /// Between them: whatever was so stays so.
    Between,
    /// At the upper one, or above.
    Trouble,
}

impl Level {
    fn of(sample: &Sample) -> Self {
        if sample.value >= sample.fires {
            Self::Trouble
        } else if sample.value < sample.clears {
            Self::Well
        } else {
            Self::Between
        }
    }
}

impl Entry {
    fn new(now: Tick, sample: &Sample) -> Self {
        Self {
            alert: Alert {
                key: sample.key.clone(),
                state: State::Pending,
                since: now,
                began: now,
                value: sample.value,
                peak: sample.value,
                fires: sample.fires,
                clears: sample.clears,
                is_gone: false,
                says: sample.says.clone(),
            },
            well_since: None,
        }
    }

    fn step(&mut self, now: Tick, settings: &Settings, level: Level, effects: &mut Vec<Effect>) {
        let alert = &mut self.alert;
        match level {
            Level::Well => {
                self.well_since.get_or_insert(now);
            }
            // Not yet so bad that it fires, and not so good that it counts as well.
            Level::Between if alert.state == State::Firing => self.well_since = None,
            Level::Between => {
                self.well_since.get_or_insert(now);
            }
            Level::Trouble => {
                self.well_since = None;
                if alert.state == State::Resolved {
                    alert.enter(State::Pending, now);
                    alert.began = now;
                    alert.peak = alert.value;
                }
            }
        }
        match alert.state {
            State::Pending if level == Level::Trouble && now - alert.since >= settings.after => {
                alert.enter(State::Firing, now);
                effects.push(Effect::Fired(alert.clone()));
            }
            State::Firing
                if self
                    .well_since
                    .is_some_and(|since| now - since >= settings.hold) =>
            {
                alert.enter(State::Resolved, now);
                effects.push(Effect::Resolved(alert.clone()));
            }
            State::Pending | State::Firing | State::Resolved => {}
        }
    }
}

#[cfg(test)]
mod tests;
