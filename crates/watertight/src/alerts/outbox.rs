//! What the webhook has still to be told. Knows neither clocks nor sockets.
//!
//! It is not a queue of messages but the difference between what is so and what was told: for each kind
//! of alert, what fires, and what is over since the last notification that arrived. So a webhook that was
//! away is told what it missed in one message a kind, and memory does not grow with the time that it
//! is away. What is over and finds no place any more is counted as lost.

use std::{collections::BTreeMap, time::Duration};

use watertight_base::Tick;
use watertight_guard::alert::{Alert, Effect, Key, Kind, State};

/// What has to be told.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    groups: BTreeMap<Kind, Group>,
    /// Attempts in a row that failed.
    failed: u32,
    not_before: Tick,
    lost: u64,
}

#[derive(Debug, Default)]
struct Group {
    firing: BTreeMap<Key, Alert>,
    /// Over, and the webhook does not know.
    resolved: BTreeMap<Key, Alert>,
    /// Counts what happened; what is told is told as of one of these.
    version: u64,
    told: u64,
    told_at: Tick,
}

/// A notification: all alerts of a kind that fire, and those that are over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Parcel {
    pub(super) kind: Kind,
    pub(super) firing: Vec<Alert>,
    pub(super) resolved: Vec<Alert>,
    version: u64,
}

/// Alerts that are over and that the webhook does not know of, at most.
pub(super) const RESOLVED_MAX: usize = 1_024;
/// The first pause after a failure, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(60);

impl Outbox {
    /// What fires now, as if it had all begun now: for a webhook that knows nothing yet.
    pub(super) fn begun<'a>(firing: impl Iterator<Item = &'a Alert>) -> Self {
        let mut outbox = Self::default();
        for alert in firing {
            outbox.tell(&Effect::Fired(alert.clone()));
        }
        outbox
    }

    /// Something happened.
    pub(super) fn tell(&mut self, effect: &Effect) {
        let (Effect::Fired(alert) | Effect::Resolved(alert)) = effect;
        let waiting: usize = self.groups.values().map(|group| group.resolved.len()).sum();
        let group = self.groups.entry(alert.key.kind).or_default();
        group.version += 1;
        group.firing.remove(&alert.key);
        group.resolved.remove(&alert.key);
        if alert.state == State::Firing {
            group.firing.insert(alert.key.clone(), alert.clone());
        } else if waiting < RESOLVED_MAX {
            group.resolved.insert(alert.key.clone(), alert.clone());
        } else {
            self.lost += 1;
        }
    }

    /// What fires has these values now. Nobody is told for that.
    pub(super) fn refresh<'a>(&mut self, firing: impl Iterator<Item = &'a Alert>) {
        for alert in firing {
            let group = self.groups.get_mut(&alert.key.kind);
            if let Some(known) = group.and_then(|group| group.firing.get_mut(&alert.key)) {
                known.clone_from(alert);
            }
        }
    }

    /// What is to be sent now, if anything is. `repeat`: how often what still fires is told again.
    pub(super) fn next(&self, now: Tick, repeat: Duration) -> Option<Parcel> {
        if now < self.not_before {
            return None;
        }
        let mut groups = self.groups.iter();
        let (kind, group) =
            groups.find(|(_, group)| group.due(repeat).is_some_and(|due| due <= now))?;
        Some(Parcel {
            kind: *kind,
            firing: group.firing.values().cloned().collect(),
            resolved: group.resolved.values().cloned().collect(),
            version: group.version,
        })
    }

    /// When there will be something to send, if nothing happens. None: then never.
    pub(super) fn next_wakeup(&self, repeat: Duration) -> Option<Tick> {
        let due = self.groups.values().filter_map(|group| group.due(repeat));
        Some(due.min()?.max(self.not_before))
    }

    /// The webhook took a parcel.
    pub(super) fn delivered(&mut self, now: Tick, parcel: &Parcel) {
        self.failed = 0;
        if let Some(group) = self.groups.get_mut(&parcel.kind) {
            group.told = parcel.version;
            group.told_at = now;
            let is_told = |alert: &Alert| parcel.resolved.contains(alert);
            group.resolved.retain(|_, alert| !is_told(alert));
        }
    }

    /// It did not. Returns how long to wait, which `jitter` (0 to 1) shortens by up to a half, and
    /// grows with each failure in a row.
    pub(super) fn failed(&mut self, now: Tick, jitter: f64) -> Duration {
        let pause = PAUSE * 2_u32.saturating_pow(self.failed.min(16));
        let pause = pause
            .min(PAUSE_MAX)
            .mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0);
        self.failed = self.failed.saturating_add(1);
        self.not_before = now + pause;
        pause
    }

    /// Whether the last attempt failed.
    pub(super) fn is_away(&self) -> bool {
        self.failed > 0
    }

    /// Alerts of which something was not told yet.
    pub(super) fn waiting(&self) -> usize {
        let groups = self
            .groups
            .values()
            .filter(|group| group.told != group.version);
        groups
            .map(|group| group.firing.len() + group.resolved.len())
            .sum()
    }

    /// Ends of alerts that were never told, because too many waited.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }
}

impl Group {
    fn due(&self, repeat: Duration) -> Option<Tick> {
        if self.told != self.version {
            Some(Tick::ZERO)
        } else if self.firing.is_empty() {
            None
        } else {
            Some(self.told_at + repeat)
        }
    }
}

#[cfg(test)]
mod tests;
