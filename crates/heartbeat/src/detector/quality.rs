//! How good a detector is, in the words of Chen et al. (2002).
//!
//! *Detection time*: from a crash until the peer is suspected for good. *Mistake*: a suspicion of a
//! peer that lives. *Mistake rate*: how many in a unit of time; *mistake duration*: how long one
//! lasts; *mistake recurrence*: from one to the next; *accuracy*: the chance that a peer that lives
//! is not suspected at a time drawn at random.

use std::time::Duration;

use watertight_base::Tick;

use super::Detector;

/// Watches a detector whose peer lives, and keeps count.
#[derive(Clone, Debug, Default)]
pub struct Witness {
    began: Option<Tick>,
    quality: Quality,
}

/// What a [`Witness`] saw. Times are by the receiver's clock.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quality {
    /// How long it watched: from the first beat to the last.
    pub watched: Duration,
    /// How often the peer was suspected while it lived.
    pub mistakes: u64,
    /// For how long, all in all.
    pub mistaken: Duration,
    /// How many beats there were.
    pub beats: u64,
    /// Had the peer crashed right after sending a beat: detection times of all beats, added up.
    pub detection: Duration,
}

impl Witness {
    /// A beat has come: call it before the detector hears of it.
    pub fn before_beat(&mut self, now: Tick, detector: &Detector) {
        let began = *self.began.get_or_insert(now);
        self.quality.watched = now - began;
        let suspected = detector.suspects_at();
        if suspected < now {
            self.quality.mistakes += 1;
            self.quality.mistaken += now - suspected;
        }
    }

    /// The detector has heard of the beat that was sent at `sent`, by the receiver's clock.
    pub fn after_beat(&mut self, sent: Tick, detector: &Detector) {
        self.quality.beats += 1;
        self.quality.detection += detector.suspects_at() - sent;
    }

    /// What it has seen so far.
    pub fn quality(&self) -> Quality {
        self.quality
    }
}

impl Quality {
    /// The mean detection time of a crash right after a beat, which is the worst moment: on average
    /// a crash is found half an interval sooner.
    pub fn detection_time(&self) -> Duration {
        mean(self.detection, self.beats)
    }

    /// The mean duration of a mistake; zero if there was none.
    pub fn mistake_duration(&self) -> Duration {
        mean(self.mistaken, self.mistakes)
    }

    /// The mean time from one mistake to the next; none if there was none.
    pub fn mistake_recurrence(&self) -> Option<Duration> {
        (self.mistakes > 0).then(|| mean(self.watched, self.mistakes))
    }

    /// Mistakes in an hour.
    #[expect(clippy::cast_precision_loss, reason = "a rate is good to a few digits")]
    pub fn mistakes_per_hour(&self) -> f64 {
        let hours = self.watched.as_secs_f64() / 3_600.0;
        match self.watched.is_zero() {
            true => 0.0,
            false => self.mistakes as f64 / hours,
        }
    }

    /// The part of the time in which the peer was not suspected.
    pub fn accuracy(&self) -> f64 {
        match self.watched.is_zero() {
            true => 1.0,
            false => 1.0 - self.mistaken.as_secs_f64() / self.watched.as_secs_f64(),
        }
    }
}

fn mean(sum: Duration, count: u64) -> Duration {
    let nanos = sum.as_nanos() / u128::from(count.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
