//! Who asks for how much: the cases.
//!
//! In each of them eight victims ask for ten requests a second. Beside them tenants ask for more
//! than there is: all of them together for one and a half times what the backend can do.

use serde::{Deserialize, Serialize};

use crate::slots::{Manner, SLOTS};

/// All tenants, by name: those that ask for little first.
pub(crate) const TENANTS: [&str; 16] = [
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "b0", "b1", "b2", "b3", "b4", "b5", "b6", "b7",
];
/// Those that ask for little.
pub(crate) const VICTIMS: usize = 8;
/// What each of them asks for, a second.
pub(crate) const VICTIM_PER_S: f64 = 10.0;
/// Where they ask, and how long it takes on average.
pub(crate) const VICTIM_PATH: &str = "/orders/20";
/// Of what can be done, what the floods ask for.
const FLOOD: f64 = 1.5;
/// How many a flood keeps under way in a closed loop: twice what the backend does at once.
const CLOSED: usize = 2 * SLOTS;

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) manner: Manner,
    pub(crate) busy: &'static [Busy],
}

/// A tenant that asks for much.
pub(crate) struct Busy {
    pub(crate) role: Role,
    pub(crate) path: &'static str,
    /// How long its requests take on average.
    ms: u32,
    /// Of what the backend can do, what it asks for.
    share: f64,
    pub(crate) is_closed: bool,
}

/// What a tenant is in a case.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    /// Asks for little.
    Victim,
    /// Asks for more than its share.
    Flood,
    /// Asks for much, and less than its share.
    Honest,
}

impl Busy {
    /// Requests a second in an open loop.
    pub(crate) fn per_s(&self) -> f64 {
        self.share * SLOTS as f64 * 1_000.0 / f64::from(self.ms)
    }

    /// Requests under way in a closed loop.
    pub(crate) fn under_way(&self) -> usize {
        CLOSED
    }
}

const fn flood(path: &'static str, ms: u32, share: f64) -> Busy {
    Busy {
        role: Role::Flood,
        path,
        ms,
        share,
        is_closed: false,
    }
}

const PLAIN: Busy = flood(VICTIM_PATH, 20, FLOOD);
const HALF: Busy = flood(VICTIM_PATH, 20, FLOOD / 2.0);
const EIGHTH: Busy = flood(VICTIM_PATH, 20, FLOOD / 8.0);

const fn case(name: &'static str, about: &'static str, busy: &'static [Busy]) -> Case {
    Case {
        name,
        about,
        manner: Manner::Plain,
        busy,
    }
}

/// Nobody but the victims: what all else is measured against.
pub(crate) const CALM: Case = case("calm", "the victims alone", &[]);

pub(crate) const CASES: [Case; 9] = [
    case("one-flood", "one flood, where the victims ask", &[PLAIN]),
    case(
        "other-path",
        "one flood, on another path",
        &[flood("/reports/20", 20, FLOOD)],
    ),
    case(
        "closed-loop",
        "one flood that keeps 64 requests under way",
        &[Busy {
            is_closed: true,
            ..PLAIN
        }],
    ),
    case("two-floods", "two floods", &[HALF, HALF]),
    case(
        "eight-floods",
        "eight floods",
        &[
            EIGHTH, EIGHTH, EIGHTH, EIGHTH, EIGHTH, EIGHTH, EIGHTH, EIGHTH,
        ],
    ),
    case(
        "heavy",
        "one flood of requests that take ten times as long",
        &[flood("/orders/200", 200, FLOOD)],
    ),
    case(
        "mixed",
        "four floods of the same service time, in requests of 5, 20, 40 and 80 ms",
        &[
            flood("/orders/5", 5, FLOOD / 4.0),
            flood("/orders/20", 20, FLOOD / 4.0),
            flood("/orders/40", 40, FLOOD / 4.0),
            flood("/orders/80", 80, FLOOD / 4.0),
        ],
    ),
    case(
        "honest",
        "one flood beside a tenant that asks for 84 % of its fair share",
        &[
            PLAIN,
            Busy {
                role: Role::Honest,
                ..flood(VICTIM_PATH, 20, 0.4)
            },
        ],
    ),
    Case {
        manner: Manner::Slowing,
        ..case(
            "slowing",
            "one flood, and a backend that slows down under its queue",
            &[PLAIN],
        )
    },
];
