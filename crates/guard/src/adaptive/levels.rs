//! Service times, apart by who asked.
//!
//! Requests of one caller cost ten times those of another. Taken together, a change of who asks looks
//! like a queue, or hides one: under a flood of heavy requests a limit would sink to where few of them
//! fit, and stay there. So callers are put into [`GROUPS`] by a hash, each group has a baseline of its
//! own, and what counts is how far levels *rise* above those, on average over the groups: by their
//! number, those whose requests suffer least from a wait would outvote the others. Who is seen for the
//! first time is taken to suffer as the others do.

use watertight_base::Tick;

use super::window;

/// In so many groups callers are kept apart.
const GROUPS: usize = 256;
/// With so many samples of its own, a group is believed half, and what all groups saw half.
const HALF_BELIEVED: f64 = 16.0;

/// Samples since the last look: their count and sums.
#[derive(Clone, Debug)]
pub(super) struct Levels {
    groups: [Sums; GROUPS],
    count: u32,
    squares: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: u32,
    levels: f64,
}

/// The levels of groups without a queue, as far as they are known.
#[derive(Clone, Debug)]
pub(super) struct Baselines {
    levels: [Option<f64>; GROUPS],
    /// When groups that are not known yet were seen first.
    since: [Option<Tick>; GROUPS],
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            groups: [Sums::default(); GROUPS],
            count: 0,
            squares: 0.0,
        }
    }
}

impl Default for Baselines {
    fn default() -> Self {
        Self {
            levels: [None; GROUPS],
            since: [None; GROUPS],
        }
    }
}

impl Sums {
    fn mean(self) -> f64 {
        self.levels / f64::from(self.count)
    }
}

impl Levels {
    pub(super) fn add(&mut self, caller: u64, level: f64) {
        let sums = &mut self.groups[group_of(caller)];
        sums.count = sums.count.saturating_add(1);
        sums.levels += level;
        self.count = self.count.saturating_add(1);
        self.squares += level * level;
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Of single samples, about the means of their groups.
    pub(super) fn variance(&self) -> f64 {
        let seen = self.groups.iter().filter(|sums| sums.count > 0);
        let (groups, means) = seen.fold((0.0, 0.0), |(groups, means), sums| {
            (groups + 1.0, means + sums.levels * sums.mean())
        });
        let free = (f64::from(self.count) - groups).max(1.0);
        ((self.squares - means) / free).max(0.0)
    }

    /// The standard error of a mean over groups.
    pub(super) fn doubt(&self) -> f64 {
        let (groups, parts) = self.seen().fold((0.0, 0.0), |(groups, parts), (_, sums)| {
            (groups + 1.0, parts + 1.0 / f64::from(sums.count))
        });
        (self.variance() * parts).sqrt() / f64::max(groups, 1.0)
    }

    /// Groups with samples, by their numbers.
    fn seen(&self) -> impl Iterator<Item = (usize, Sums)> {
        let groups = self.groups.iter().copied().enumerate();
        groups.filter(|(_, sums)| sums.count > 0)
    }
}

impl Baselines {
    /// How far these levels lie above the baselines. 0 where nothing is known yet.
    pub(super) fn rise(&self, levels: &Levels) -> f64 {
        let known = levels.seen();
        let known = known.filter_map(|(group, sums)| Some(sums.mean() - self.levels[group]?));
        mean(known).unwrap_or(0.0)
    }

    /// Takes in groups that are new, at levels of a window from `began` on that are so far above their
    /// baselines. Of who has just come only the shortest requests are done yet, so that the first who
    /// are seen say too little.
    pub(super) fn take_in(&mut self, began: Tick, levels: &Levels, rise: f64) {
        for (group, sums) in levels.seen() {
            let since = *self.since[group].get_or_insert(began);
            if began >= since + window::span(sums.mean()) * 2 {
                self.levels[group].get_or_insert(sums.mean() - rise.max(0.0));
            }
        }
    }

    /// Moves all.
    pub(super) fn shift(&mut self, by: f64) {
        self.levels
            .iter_mut()
            .flatten()
            .for_each(|level| *level += by);
    }

    /// Moves the baselines towards `levels`, which lie above them by `rise`, by so much of the way.
    pub(super) fn learn(&mut self, levels: &Levels, rise: f64, share: f64) {
        self.shift(rise * share);
        for (group, sums) in levels.seen() {
            let count = f64::from(sums.count);
            let belief = share * count / (count + HALF_BELIEVED);
            let baseline = self.levels[group].get_or_insert(sums.mean());
            *baseline += belief * (sums.mean() - *baseline);
        }
    }

    /// Their mean over the groups of `levels`.
    pub(super) fn mean(&self, levels: &Levels) -> Option<f64> {
        mean(levels.seen().filter_map(|(group, _)| self.levels[group]))
    }
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (count, sum) = numbers.fold((0.0, 0.0), |sum, it| (sum.0 + 1.0, sum.1 + it));
    (count > 0.0).then(|| sum / count)
}

/// Callers are numbers of our own, so a multiplication is hash enough (Knuth, *The Art of Computer
/// Programming*, volume 3, section 6.4).
fn group_of(caller: u64) -> usize {
    let hash = caller.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - GROUPS.ilog2());
    usize::try_from(hash).unwrap_or_default() % GROUPS
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn levels(span: Duration) -> Levels {
        let mut levels = Levels::default();
        for _ in 0..50 {
            levels.add(1, window::level(span));
        }
        levels
    }

    /// Of requests of 200 ms, those that are done after 100 ms are the shortest.
    #[test]
    fn who_has_just_come_is_not_judged_by_the_first_requests_to_be_done() {
        let at = |ms| Tick::ZERO + Duration::from_millis(ms);
        let mut baselines = Baselines::default();
        let (short, usual) = (Duration::from_millis(100), Duration::from_millis(200));
        baselines.take_in(at(0), &levels(short), 0.0);
        baselines.take_in(at(100), &levels(short), 0.0);
        assert_eq!(baselines.mean(&levels(short)), None);
        baselines.take_in(at(400), &levels(usual), 0.0);
        let known = baselines.mean(&levels(usual)).unwrap();
        assert!((known - window::level(usual)).abs() < 1e-9);
    }
}
