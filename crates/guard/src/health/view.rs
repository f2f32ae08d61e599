//! What a controller sees and does, for people and metrics, in words too.

use std::{cmp::Ordering, fmt, time::Duration};

use watertight_base::{Percent, Tick, Tier};

use super::{Condition, Kind, Scope};

/// A controller at its last decision.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// What it watches.
    pub scope: Scope,
    /// The worst condition of its signals.
    pub condition: Condition,
    /// The signal whose condition that is (the furthest over its target, if there are several) and
    /// since when; none while nothing is known or all is well.
    pub reason: Option<Reading>,
    /// The share of limits in force, by tier: 1, 2, 3.
    pub shares: [Share; 3],
    /// Every signal, by [`Kind::ALL`].
    pub readings: [Reading; 4],
    /// What the last cut was for; none once all shares are at 100 % again.
    pub last_cut: Option<Cut>,
}

/// The share of its limits that a tier may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// The tier.
    pub tier: Tier,
    /// In force; 100 % in good times.
    pub share: Percent,
    /// Never less than this.
    pub floor: Percent,
    /// When the share last changed, or the controller was made.
    pub since: Tick,
}

/// One signal at the last decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Which signal.
    pub kind: Kind,
    /// The mean of the last interval with a sample; none if unknown.
    pub level: Option<Level>,
    /// Unhappy from here on; none for latency while the usual one is being learned.
    pub target: Option<Level>,
    /// Well below this; none as above.
    pub recovered: Option<Level>,
    /// The usual latency that was learned; none for other signals.
    pub usual: Option<Duration>,
    /// How it is doing.
    pub condition: Condition,
    /// When that began.
    pub since: Tick,
    /// When it was last sampled.
    pub heard: Option<Tick>,
}

/// A cut and its reason.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// When.
    pub at: Tick,
    /// The tier that was cut.
    pub tier: Tier,
    /// The signal, as it was then.
    pub reason: Reading,
}

/// A level of a signal.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub enum Level {
    /// Of loop lag and latency.
    Span(Duration),
    /// Of memory and errors.
    Share(Percent),
}

impl View {
    /// One sentence on why a tier's limits are what they are. The scope is named in it.
    pub fn explain(&self, tier: Tier) -> String {
        let [one, two, three] = &self.shares;
        let share = match tier {
            Tier::One => one,
            Tier::Two => two,
            Tier::Three => three,
        };
        let full = share.share.get() >= 100.0;
        let head = format!("tier {tier} limits are at {}", Level::Share(share.share));
        let scope = &self.scope;
        match (&self.reason, self.condition) {
            (Some(reason), Condition::Unhappy) if !full => {
                let floor = if share.share <= share.floor {
                    ", their floor,"
                } else {
                    ""
                };
                format!("{head}{floor} because {}", reason.sentence(scope))
            }
            (Some(reason), Condition::Unhappy) if share.floor.get() >= 100.0 => {
                format!("{head}, their floor, although {}", reason.sentence(scope))
            }
            (Some(reason), Condition::Unhappy) => {
                let why = "less critical tiers are cut first";
                format!("{head} although {}: {why}", reason.sentence(scope))
            }
            (Some(reason), Condition::Silent) if !full => {
                let name = reason.name(scope);
                format!(
                    "{head} and wait: nothing is heard of {name}, last at {}",
                    reason.against()
                )
            }
            (Some(reason), Condition::Strained) if !full => {
                let below = reason
                    .recovered
                    .map(|level| format!(", grows again below {level}"));
                format!(
                    "{head} and wait: {}{}",
                    reason.sentence(scope),
                    below.unwrap_or_default()
                )
            }
            _ if full => format!("{head}: {}", self.at_ease()),
            _ => {
                let cut = self.last_cut.as_ref().map(|cut| cut.reason);
                let was = cut
                    .map(|was| format!(", last cut for {} at {}", was.name(scope), was.against()));
                format!(
                    "{head} and grow back: {}{}",
                    self.at_ease(),
                    was.unwrap_or_default()
                )
            }
        }
    }

    fn at_ease(&self) -> String {
        match (self.condition, &self.reason) {
            (Condition::Unknown, _) => format!("nothing is known of {}", self.scope),
            (Condition::Strained, Some(reason)) => reason.sentence(&self.scope),
            (Condition::Silent, Some(reason)) => {
                format!("nothing is heard of {}", reason.name(&self.scope))
            }
            _ => format!("{} is well", self.scope),
        }
    }
}

impl Reading {
    /// `errors of database`
    fn name(&self, scope: &Scope) -> String {
        format!("{} of {scope}", words(self.kind))
    }

    /// `errors of database are at 63 % (target 50 %)`
    fn sentence(&self, scope: &Scope) -> String {
        let verb = if self.kind == Kind::Errors {
            "are"
        } else {
            "is"
        };
        format!("{} {verb} at {}", self.name(scope), self.against())
    }

    /// `63 % (target 50 %)`
    fn against(&self) -> String {
        let show = |level: Option<Level>| {
            level.map_or("an unknown level".into(), |level| level.to_string())
        };
        let usual = self
            .usual
            .map(|usual| format!(", usually {}", Level::Span(usual)));
        let usual = usual.unwrap_or_default();
        format!("{} (target {}{usual})", show(self.level), show(self.target))
    }

    /// How far it is from its target: 1 at the target.
    pub(super) fn strain(&self) -> f64 {
        match (self.level, self.target) {
            (Some(level), Some(target)) => level.number() / target.number().max(f64::MIN_POSITIVE),
            _ => 0.0,
        }
    }
}

impl fmt::Display for Reading {
    /// `loop lag 240 ms, over 100 ms`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(words(self.kind))?;
        match (self.level, self.target) {
            (Some(level), Some(target)) => {
                let side = match level.partial_cmp(&target) {
                    Some(Ordering::Equal) => "at",
                    Some(Ordering::Greater) => "over",
                    _ => "under",
                };
                write!(f, " {level}, {side} {target}")
            }
            (Some(level), None) => write!(f, " {level}, what is usual is being learned"),
            (None, _) => f.write_str(" unknown"),
        }
    }
}

impl Level {
    /// Percents, or seconds.
    fn number(self) -> f64 {
        match self {
            Self::Span(span) => span.as_secs_f64(),
            Self::Share(share) => share.get(),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self {
            Self::Span(span) if *span >= Duration::from_secs(1) => (span.as_secs_f64(), "s"),
            Self::Span(span) => (span.as_secs_f64() * 1e3, "ms"),
            Self::Share(share) => (share.get(), "%"),
        };
        write!(f, "{} {unit}", (number * 10.0).round() / 10.0)
    }
}

const fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Errors => "errors",
        Kind::Latency => "latency",
        Kind::LoopLag => "loop lag",
        Kind::Memory => "memory",
    }
}
