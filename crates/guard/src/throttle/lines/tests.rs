//! Those who wait, on a clock of the test's, with timers that come as late as the test wants.

use std::{cmp::Reverse, collections::BinaryHeap, hash::BuildHasher};

use foldhash::quality::FixedState;
use watertight_base::Rate;

use super::*;
use crate::throttle::{Counter, Tables};

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = SECOND;
const MOST: u32 = 10_000;

#[test]
fn a_line_is_bounded_and_gone_when_nobody_waits() {
    let lines = Lines::default();
    let key = Tables::new(1, 1, 1, 7).key("a");
    assert!(lines.join(key, 2) && lines.join(key, 2) && !lines.join(key, 2));
    assert!(lines.has(key));
    let leave = || lines.leave(key, None, None, |_| {});
    leave();
    assert!(lines.join(key, 2));
    leave();
    leave();
    assert!(!lines.has(key) && lines.waiting() == 0);
    assert!(lines.lines(key).is_empty());
}

/// A limit that delays, and who comes to it.
struct Shop {
    quota: Quota,
    counter: Counter,
    lines: Lines,
    key: Key,
    /// When a timer fires, and whose, by number; of those at once, first of who came last.
    timers: BinaryHeap<Reverse<(Tick, Reverse<u64>)>>,
    /// Who waits, and since when.
    waiting: HashMap<u64, (Tick, Turn, Due)>,
    came: u64,
    left: Vec<(Tick, u64)>,
    /// How long those who left had waited.
    waited: Vec<Duration>,
}

impl Shop {
    fn new(algorithm: Algorithm, limit: u64) -> Self {
        let rate = Rate::new(limit, SECOND).unwrap();
        let quota = Quota::new(algorithm, rate).unwrap().timed();
        Self {
            quota,
            counter: Counter::new(&quota),
            lines: Lines::default(),
            key: Tables::new(1, 1, 1, 7).key("a"),
            timers: BinaryHeap::new(),
            waiting: HashMap::new(),
            came: 0,
            left: Vec::new(),
            waited: Vec::new(),
        }
    }

    fn come(&mut self, now: Tick, late: &mut impl FnMut(Tick) -> Tick) {
        self.came += 1;
        let step = self.counter.take(now, &self.quota, 1, PATIENCE);
        if !step.allowed {
            return;
        }
        if step.wait().is_zero() && !self.lines.has(self.key) {
            self.left.push((now, self.came));
            return;
        }
        assert!(self.lines.join(self.key, MOST));
        let turn = Turn {
            step,
            quota: self.quota,
            cost: 1,
            given_back: 0,
        };
        let due = self.lines.expect(self.key, &turn);
        self.waiting.insert(self.came, (now, turn, due));
        let fires = late(now + step.wait());
        self.timers.push(Reverse((fires, Reverse(self.came))));
    }

    fn fire(&mut self, late: &mut impl FnMut(Tick) -> Tick) {
        let Some(Reverse((now, Reverse(who)))) = self.timers.pop() else {
            return;
        };
        let (since, turn, due) = self.waiting[&who];
        match self.lines.pass(now, self.key, due, &turn) {
            Ok(behind) => {
                self.counter.fall_behind(&self.quota, behind);
                self.lines.leave(self.key, Some(due), None, |_| {});
                self.waiting.remove(&who);
                self.left.push((now, who));
                self.waited.push(now - since);
            }
            Err(wait) => {
                let fires = late(now + wait);
                self.timers.push(Reverse((fires, Reverse(who))));
            }
        }
    }

    /// Lets so many come each second, evenly, for ten seconds.
    fn run(&mut self, rate: u32, mut late: impl FnMut(Tick) -> Tick) {
        for number in 0..rate * 10 {
            let now = Tick::ZERO + SECOND * number / rate;
            while let Some(Reverse((due, _))) = self.timers.peek()
                && *due <= now
            {
                self.fire(&mut late);
            }
            self.come(now, &mut late);
        }
        while !self.timers.is_empty() {
            self.fire(&mut late);
        }
    }

    fn most_in_a_second(&self) -> usize {
        let from = self.left.iter().enumerate();
        let within = from.map(|(at, (from, _))| {
            let later = self.left[at..].iter();
            later.take_while(|(left, _)| *left < *from + SECOND).count()
        });
        within.max().unwrap_or_default()
    }

    fn least_apart(&self) -> Duration {
        let pairs = self.left.windows(2);
        let apart = pairs.map(|pair| pair[1].0 - pair[0].0);
        apart.min().unwrap_or_default()
    }
}

/// A timer that comes up to so many microseconds late.
fn up_to(micros: u64, seed: u64) -> impl FnMut(Tick) -> Tick {
    let (hashes, mut timers) = (FixedState::with_seed(seed), 0_u64);
    move |due| {
        timers += 1;
        due + Duration::from_micros(hashes.hash_one(timers) % (micros + 1))
    }
}

#[test]
fn whatever_comes_late_no_half_open_second_holds_more_than_the_limit() {
    for (limit, late) in [
        (200, 0),
        (200, 1_500),
        (200, 40_000),
        (1_000, 3_000),
        (7, 300_000),
    ] {
        for seed in 0..5 {
            let mut shop = Shop::new(Algorithm::LeakyBucket, limit);
            shop.run(u32::try_from(limit * 2).unwrap(), up_to(late, seed));
            let most = shop.most_in_a_second() as u64;
            assert!(most <= limit, "{limit} {late} {seed}: {most}");
        }
    }
}

#[test]
fn timers_that_come_a_little_late_cost_no_more_than_the_stated_part_of_the_rate() {
    for limit in [200, 1_000, 5_000] {
        let mut shop = Shop::new(Algorithm::LeakyBucket, limit);
        shop.run(u32::try_from(limit * 2).unwrap(), up_to(1_900, 1));
        // Ten seconds, and the queue of one more.
        let passed = shop.left.len() as f64;
        let due = limit as f64 * 11.0;
        assert!(passed >= due * 0.995, "{limit}: {passed} of {due}");
    }
}

#[test]
fn who_is_very_late_is_not_made_up_for() {
    let mut shop = Shop::new(Algorithm::LeakyBucket, 200);
    let stall = Tick::ZERO + SECOND * 3;
    shop.run(150, |due| {
        let is_in = due >= stall && due < stall + SECOND;
        if is_in { stall + SECOND } else { due }
    });
    let least = shop.quota.unit - point::of_span(shop.quota.lateness());
    assert!(shop.least_apart() >= point::span(least) - Duration::from_nanos(1));
}

#[test]
fn what_those_who_wait_fall_behind_does_not_add_up() {
    for late in [0, 1_900, 5_000, 20_000] {
        let mut shop = Shop::new(Algorithm::LeakyBucket, 200);
        shop.run(400, up_to(late, 1));
        // Two seconds until the queue is as long as it gets, and as many at the end.
        let number = shop.waited.len();
        let longest = |waited: &[Duration]| waited.iter().max().unwrap().as_secs_f64();
        let [early, later] = [number / 5..number / 2, number / 2..number];
        let [early, later] = [early, later].map(|part| longest(&shop.waited[part]));
        assert!(later <= early * 1.1, "{late}: {early} s, {later} s");
        let most = if late <= 1_900 { 1.01 } else { 4.0 };
        assert!(later <= most, "{late}: {later} s");
    }
}

#[test]
fn those_who_wait_leave_in_their_order_when_all_are_woken_at_once() {
    let mut shop = Shop::new(Algorithm::LeakyBucket, 200);
    let late = Tick::ZERO + SECOND;
    // Who came first is woken last.
    let mut timer = |due: Tick| match due < late {
        true => late + (late - due) / 1_000,
        false => due,
    };
    for _ in 0..20 {
        shop.come(Tick::ZERO, &mut timer);
    }
    while !shop.timers.is_empty() {
        shop.fire(&mut timer);
    }
    let order: Vec<_> = shop.left.iter().map(|(_, who)| *who).collect();
    // The first passed at once, and the last was the first to be there.
    assert_eq!(order[..2], [1, 20]);
    assert_eq!(order.len(), 20);
    assert!(order[2..].is_sorted(), "{order:?}");
}

#[test]
fn who_is_held_up_elsewhere_passes_no_bucket_faster_than_it_lets() {
    let mut shop = Shop::new(Algorithm::TokenBucket { burst: 2 }, 5);
    let opens = Tick::ZERO + SECOND * 20;
    // Something else holds all up for twenty seconds.
    for second in 0..10 {
        for _ in 0..5 {
            let now = Tick::ZERO + SECOND * second;
            let mut late = |due: Tick| due.max(opens);
            shop.come(now, &mut late);
        }
    }
    shop.left.clear();
    while !shop.timers.is_empty() {
        shop.fire(&mut |due| due);
    }
    let from = shop.left.iter().enumerate();
    for (at, (left, _)) in from {
        let since = *left - shop.left[0].0;
        let lets = 2.0 + since.as_secs_f64() * 5.0;
        assert!((at + 1) as f64 <= lets + 1e-6, "{at} by {since:?}");
    }
}

#[test]
fn who_is_put_off_holds_up_nobody() {
    let mut shop = Shop::new(Algorithm::LeakyBucket, 10);
    let mut on_time = |due| due;
    for _ in 0..4 {
        shop.come(Tick::ZERO, &mut on_time);
    }
    let until = Tick::ZERO + SECOND;
    let (_, turn, due) = shop.waiting.get_mut(&2).unwrap();
    shop.lines.put_off(shop.key, due, turn, until);
    let wait_of = |who: u64| {
        let (_, turn, due) = shop.waiting[&who];
        let ready = Tick::ZERO + turn.step.wait();
        let held_up = shop.lines.held_up(ready, shop.key, due, &turn);
        let _ = shop.lines.pass(ready, shop.key, due, &turn);
        held_up
    };
    assert_eq!([wait_of(3), wait_of(4)], [Duration::ZERO; 2]);
}
