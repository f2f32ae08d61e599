//! Shedding the same part of a tenant's users, rather than a part of everybody's requests.
//!
//! When a tenant asks for more than it gets, some of its requests go unserved. Where these are
//! picked at random, every user of the tenant sees failures, and a page of ten requests hardly ever
//! loads. So users are dealt into [`Cohort`]s, and whole cohorts are turned away until the others are
//! served: the scheme of WeChat's DAGOR (Zhou et al., *Overload Control for Scaling WeChat
//! Microservices*, SoCC 2018), inside one tenant. Which user falls into which cohort is the caller's
//! to say; it should change now and then, every hour for instance, so that it is not always the same.
//!
//! How many cohorts may wait follows from what became of those who did: over each window their
//! number shrinks by the share that was shed all the same, and grows by an eighth when none was.
//! Where few cohorts ask, there is nobody to choose between: a tenant whose requests all come from
//! one caller is shed by its queue alone.

use std::time::Duration;

use watertight_base::Tick;

/// A part of a tenant's users.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Cohort(u8);

impl Cohort {
    /// How many there are.
    pub const NUMBER: u8 = 128;

    /// The cohort of a user, by a hash of whoever that is.
    pub fn of(hash: u64) -> Self {
        let top = hash >> (u64::BITS - Self::NUMBER.trailing_zeros());
        Self(u8::try_from(top).unwrap_or(0))
    }
}

/// The cohorts of one tenant that may wait for one service.
#[derive(Clone, Debug)]
pub(super) struct Cohorts {
    /// Cohorts below this may wait.
    open: u8,
    window_end: Tick,
    /// Cohorts that asked in this window, a bit each.
    asked: u128,
    waited: u32,
    shed: u32,
}

impl Default for Cohorts {
    fn default() -> Self {
        Self {
            open: Cohort::NUMBER,
            window_end: Tick::ZERO,
            asked: 0,
            waited: 0,
            shed: 0,
        }
    }
}

impl Cohorts {
    /// So many are never turned away, or nobody would be left to say how things are.
    const LEAST: u8 = 8;
    /// As many cohorts must ask, and requests wait, in a window before any is turned away.
    const ASKED_MIN: u32 = 8;
    const WAITED_MIN: u32 = 16;

    /// Whether a request of this cohort may wait, and counts it if so. A request of nobody in
    /// particular may.
    pub(super) fn enter(&mut self, now: Tick, window: Duration, cohort: Option<Cohort>) -> bool {
        if now >= self.window_end {
            self.adjust();
            self.window_end = now + window;
        }
        self.asked |= cohort.map_or(0, |cohort| 1 << cohort.0);
        let may = cohort.is_none_or(|cohort| cohort.0 < self.open);
        self.waited += u32::from(may);
        may
    }

    /// A request that was let in to wait went unserved.
    pub(super) fn on_shed(&mut self) {
        self.shed += 1;
    }

    /// How many cohorts may wait.
    #[cfg(test)]
    fn open(&self) -> u8 {
        self.open
    }

    fn adjust(&mut self) {
        let open = u32::from(self.open);
        let next = if self.asked.count_ones() < Self::ASKED_MIN {
            Cohort::NUMBER.into()
        } else if self.shed == 0 || self.waited < Self::WAITED_MIN {
            open + (open / 8).max(1)
        } else {
            let lost = u64::from(open) * u64::from(self.shed) / u64::from(self.waited.max(1));
            open.saturating_sub(u32::try_from(lost.max(1)).unwrap_or(open))
        };
        let next = next.clamp(Self::LEAST.into(), Cohort::NUMBER.into());
        self.open = u8::try_from(next).unwrap_or(Cohort::NUMBER);
        (self.asked, self.waited, self.shed) = (0, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(1);

    /// Lets `asked` requests of evenly spread users ask in each of `windows` windows, of which
    /// `served` can be served, and returns how many cohorts are open in the end.
    fn play(cohorts: &mut Cohorts, windows: u64, asked: u64, served: u32) -> u8 {
        for window in 0..windows {
            let now = cohorts.window_end.max(Tick::ZERO + WINDOW) + WINDOW;
            let mut entered = 0;
            for user in 0..asked {
                let cohort = Cohort::of((user * u64::from(Cohort::NUMBER) / asked) << 57);
                if cohorts.enter(now, WINDOW, Some(cohort)) {
                    entered += 1;
                    if entered > served {
                        cohorts.on_shed();
                    }
                }
            }
            assert!(entered >= u32::from(Cohorts::LEAST), "window {window}");
        }
        cohorts.open()
    }

    #[test]
    fn a_hash_names_each_cohort_as_often() {
        let of = |n: u64| Cohort::of(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).0;
        let mut counts = [0_u32; Cohort::NUMBER as usize];
        (0..12_800).for_each(|n| counts[usize::from(of(n))] += 1);
        assert!(
            counts.iter().all(|count| (80..=120).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn as_many_cohorts_stay_as_are_served_and_all_come_back() {
        let mut cohorts = Cohorts::default();
        let open = play(&mut cohorts, 20, 1280, 640);
        assert!((56..=80).contains(&open), "{open}");
        assert_eq!(play(&mut cohorts, 20, 1280, 1280), Cohort::NUMBER);
        let open = play(&mut cohorts, 50, 1280, 0);
        assert!(
            (Cohorts::LEAST..=Cohorts::LEAST + 2).contains(&open),
            "{open}"
        );
    }

    #[test]
    fn one_caller_alone_is_never_turned_away_for_its_cohort() {
        let mut cohorts = Cohorts::default();
        for window in 1..20 {
            let now = Tick::ZERO + WINDOW * window;
            for _ in 0..100 {
                assert!(cohorts.enter(now, WINDOW, Some(Cohort::of(u64::MAX))));
                cohorts.on_shed();
            }
        }
    }

    #[test]
    fn the_same_users_are_turned_away_each_time() {
        let mut cohorts = Cohorts::default();
        play(&mut cohorts, 20, 1280, 640);
        let now = Tick::ZERO;
        let mut may = |top: u64| cohorts.enter(now, WINDOW, Some(Cohort::of(top << 57)));
        assert!((0..50).all(&mut may) && !(90..128).any(&mut may));
    }
}
