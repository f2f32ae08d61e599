//! From silence to suspicion: failure detectors for one peer.
//!
//! A peer sends beats, numbered, each with the interval until its next one. A detector answers one
//! question: from when on is the peer suspected, if nothing more comes ([`Detector::suspects_at`],
//! the *freshness point* of Chen et al.). Everything else follows from that, so four detectors of
//! the literature have one shape and the same measures ([`Quality`]).
//!
//! | [`Rule`] | suspects after the last beat | source |
//! |---|---|---|
//! | `Fixed` | `misses` × interval + `margin` | – |
//! | `Phi` | the time that a beat exceeds with a chance of 10^-`threshold` | Hayashibara, Défago, Yared, Katayama: *The φ Accrual Failure Detector*, SRDS 2004 |
//! | `Chen` | the expected arrival of the next beat + `margin` | Chen, Toueg, Aguilera: *On the Quality of Service of Failure Detectors*, IEEE ToC 51(5), 2002 (NFD-E) |
//! | `Bertier` | the same, with a margin that follows how wrong the expectation was | Bertier, Marin, Sens: *Implementation and Performance Evaluation of an Adaptable Failure Detector*, DSN 2002 |
//!
//! **What is decided here.** Only the receiver's clock counts; what a beat says of the time is never
//! used. A sender that announces a longer interval is given that time, and its history is kept,
//! because a detector remembers how late beats were, not how far apart. Arrivals are counted as
//! integers: a window of a thousand sums to the same whatever came before it. A beat that comes
//! again, or after a younger one, changes nothing.

mod arrivals;
mod bertier;
mod chen;
mod fixed;
mod phi;
mod quality;
#[cfg(test)]
mod tests;

use std::time::Duration;

use watertight_base::Tick;

use self::{bertier::Bertier, chen::Chen, fixed::Fixed, phi::Phi};
use crate::Error;

pub use self::quality::{Quality, Witness};

/// How silence is judged, and by which numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// A time-out: `misses` × the announced interval + `margin`.
    Fixed {
        /// How many beats must be missing. 1 to 100; 3 is usual.
        misses: u32,
        /// What delay and jitter are granted.
        margin: Duration,
    },
    /// φ accrual, with the normal distribution of the original.
    Phi {
        /// The φ from which on the peer is suspected. 0.1 to 100; 8 is usual: by the distribution
        /// one beat in 10^8 is that late.
        threshold: f64,
        /// How many arrivals are remembered. 2 to 10,000.
        window: usize,
        /// The least standard deviation assumed, so that a very regular peer is not suspected for a
        /// millisecond. Longer than zero; 100 ms is usual.
        deviation_min: Duration,
        /// A pause that is always granted, as for a collection of garbage.
        pause: Duration,
    },
    /// Chen's NFD-E: expected arrival and a constant margin.
    Chen {
        /// How many arrivals are remembered. 1 to 10,000.
        window: usize,
        /// The margin, α in the paper.
        margin: Duration,
    },
    /// Bertier's: expected arrival and Jacobson's margin (β = 1, φ = 4, γ = 0.1, as in the paper).
    Bertier {
        /// How many arrivals are remembered. 1 to 10,000.
        window: usize,
    },
}

/// One beat, as far as a detector cares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Beat {
    /// The sender's number of it, one more than that of the beat before.
    pub sequence: u64,
    /// When the sender means to send its next one, counted from this.
    pub interval: Duration,
}

/// Judges the silence of one peer.
#[derive(Clone, Debug)]
pub struct Detector {
    last: Option<(Tick, u64)>,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    Fixed(Fixed),
    Phi(Phi),
    Chen(Chen),
    Bertier(Bertier),
}

impl Rule {
    /// Most arrivals that can be remembered.
    pub const WINDOW_MAX: usize = 10_000;

    /// Whether its numbers lie within their ranges.
    ///
    /// # Errors
    /// [`Error::Rule`] names the number that does not, and its range.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |number, range| Err(Error::Rule { number, range });
        let windows = |least: usize, window: usize| (least..=Self::WINDOW_MAX).contains(&window);
        match *self {
            Self::Fixed { misses, .. } if !(1..=100).contains(&misses) => {
                wrong("misses", "1 to 100")
            }
            Self::Phi { threshold, .. } if !(0.1..=100.0).contains(&threshold) => {
                wrong("threshold", "0.1 to 100")
            }
            Self::Phi { window, .. } if !windows(2, window) => wrong("window", "2 to 10,000"),
            Self::Phi { deviation_min, .. } if deviation_min.is_zero() => {
                wrong("deviation_min", "longer than zero")
            }
            Self::Chen { window, .. } | Self::Bertier { window } if !windows(1, window) => {
                wrong("window", "1 to 10,000")
            }
            _ => Ok(()),
        }
    }
}

impl Detector {
    /// A detector that has heard nothing yet, and suspects nobody before it has.
    ///
    /// # Errors
    /// As [`Rule::check`].
    pub fn new(rule: Rule) -> Result<Self, Error> {
        rule.check()?;
        let state = match rule {
            Rule::Fixed { misses, margin } => State::Fixed(Fixed::new(misses, margin)),
            Rule::Phi {
                threshold,
                window,
                deviation_min,
                pause,
            } => State::Phi(Phi::new(threshold, window, deviation_min, pause)),
            Rule::Chen { window, margin } => State::Chen(Chen::new(window, margin)),
            Rule::Bertier { window } => State::Bertier(Bertier::new(window)),
        };
        Ok(Self { last: None, state })
    }

    /// A beat has come. False, and nothing changes, if one of its number or younger came before.
    pub fn on_beat(&mut self, now: Tick, beat: Beat) -> bool {
        let gap = match self.last {
            Some((_, sequence)) if beat.sequence <= sequence => return false,
            Some((at, sequence)) => Some(Gap {
                span: now - at,
                beats: beat.sequence - sequence,
            }),
            None => None,
        };
        self.last = Some((now, beat.sequence));
        match &mut self.state {
            State::Fixed(fixed) => fixed.on_beat(beat.interval),
            State::Phi(phi) => phi.on_beat(gap, beat.interval),
            State::Chen(chen) => chen.on_beat(gap, beat.interval),
            State::Bertier(bertier) => bertier.on_beat(gap, beat.interval),
        }
        true
    }

    /// From when on the peer is suspected, if nothing more comes; [`Tick::MAX`] before its first
    /// beat.
    pub fn suspects_at(&self) -> Tick {
        let Some((last, _)) = self.last else {
            return Tick::MAX;
        };
        last + match &self.state {
            State::Fixed(fixed) => fixed.patience(),
            State::Phi(phi) => phi.patience(),
            State::Chen(chen) => chen.patience(),
            State::Bertier(bertier) => bertier.patience(),
        }
    }

    /// φ of the present silence: `-log10` of the chance that a beat comes even later. None before
    /// the first beat, and for rules that have no distribution. At most 300.
    pub fn phi(&self, now: Tick) -> Option<f64> {
        match (&self.state, self.last) {
            (State::Phi(phi), Some((last, _))) => Some(phi.of(now - last)),
            _ => None,
        }
    }

    /// When the last beat came, by the receiver's clock.
    pub fn last(&self) -> Option<Tick> {
        self.last.map(|(at, _)| at)
    }
}

/// What lies between a beat and the one before it that came.
#[derive(Clone, Copy, Debug)]
struct Gap {
    /// By the receiver's clock.
    span: Duration,
    /// By the sender's count: one, and those that were lost.
    beats: u64,
}
