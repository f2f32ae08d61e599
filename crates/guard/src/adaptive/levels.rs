//! Service times, apart by who asked.
//!
//! Requests of one caller cost ten times those of another. Taken together, a change of who asks looks
//! like a queue, or hides one: under a flood of heavy requests a limit would sink to where few of them
//! fit, and stay there. So callers are put into [`GROUPS`] by a hash, each group has a baseline of its
//! own, and what counts is how far levels *rise* above those, on average over the groups: by their
//! number, those whose requests suffer least from a wait would outvote the others. Who is seen for the
//! first time is taken to suffer as the others do.

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
pub(super) struct Baselines([Option<f64>; GROUPS]);

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
        Self([None; GROUPS])
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
        let known = known.filter_map(|(group, sums)| Some(sums.mean() - self.0[group]?));
        mean(known).unwrap_or(0.0)
    }

    /// Takes in groups that were not seen before, at levels that are so far above their baselines.
    pub(super) fn take_in(&mut self, levels: &Levels, rise: f64) {
        for (group, sums) in levels.seen() {
            self.0[group].get_or_insert(sums.mean() - rise.max(0.0));
        }
    }

    /// Moves all.
    pub(super) fn shift(&mut self, by: f64) {
        self.0.iter_mut().flatten().for_each(|level| *level += by);
    }

    /// Moves the baselines towards `levels`, which lie above them by `rise`, by so much of the way.
    pub(super) fn learn(&mut self, levels: &Levels, rise: f64, share: f64) {
        self.shift(rise * share);
        for (group, sums) in levels.seen() {
            let count = f64::from(sums.count);
            let belief = share * count / (count + HALF_BELIEVED);
            let baseline = self.0[group].get_or_insert(sums.mean());
            *baseline += belief * (sums.mean() - *baseline);
        }
    }

    /// Their mean over the groups of `levels`.
    pub(super) fn mean(&self, levels: &Levels) -> Option<f64> {
        mean(levels.seen().filter_map(|(group, _)| self.0[group]))
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
