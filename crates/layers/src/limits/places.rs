//! Places at limits on requests in flight: who holds them, and who waits for them.
//!
//! # First come, first served
//!
//! A request draws a number when it comes to the first limit on requests in flight that applies to it.
//! Whoever finds no place waits in the line of the counter, by number; a place is had only by who has
//! nobody before it in that line, so neither newcomers nor those who are woken by chance overtake.
//! Whoever leaves a place, or the line, tells the first in the line, and who was told and got in tells
//! the next: a word stays with whom it was said to until it asks, and goes on when it goes away
//! instead. Only those whose service has no room in its share of the limit (see [`super::shares`]) let others
//! by: for a place would be no use to them.
//!
//! # Reloads
//!
//! A reload may make other counters of a limit: it counts by something else, stands elsewhere, or its
//! tenant is on another plan now. So it is known of each request that holds a place, or waits for one,
//! whose it is. A reload [moves](Keyed::reload) them all before its terms are in force, while nobody
//! comes or goes. Who is in is counted by every limit on requests in flight that binds it now, whatever
//! its name and even beyond what it allows; who is on the way in, by those of the names that it passed. A
//! limit that refuses nobody counts whom it counted. Who waits at a limit of some name waits at the one of
//! that name that applies now, at its number, and asks again from the start; so does whoever comes
//! with terms of before. It keeps the places that it has, and its time to wait runs on. Where it now
//! has nothing to wait for it passes, and it is refused where nobody waits any more. Whose tenant or
//! service is gone is served out by the terms of then.
//!
//! What remains: whom no limit on requests in flight applied to when it came is in no count, so beside
//! what the first such limit allows run those who ran when it came. What was taken of shares that are in
//! force goes along. While a reload moves those who are in, which takes some microseconds for each,
//! nobody enters or leaves such a limit.

use std::{
    collections::{BTreeMap, HashMap},
    hash::{BuildHasher, Hash},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering, fence},
    },
};

use foldhash::quality::FixedState;
use smallvec::SmallVec;
use tokio::sync::Notify;
use watertight_base::{LimitId, ServiceId, Tick};
use watertight_guard::throttle::Key;
use watertight_plan::Plan;

use super::{
    Asked, Rule, Tally,
    charge::{Kept, Keyed},
    shares::FewerInFlight,
};
use crate::tenants::{Tenants, Who};

/// Those who hold places or wait for them, and the lines.
#[derive(Debug)]
pub(crate) struct Places {
    present: Box<[Mutex<HashMap<u64, Present>>]>,
    lines: Box<[Mutex<HashMap<Key, Line>>]>,
    /// Numbers drawn.
    numbers: AtomicU64,
    waiting: AtomicU64,
    /// Of the terms in force. Written while nobody comes or goes.
    epoch: AtomicU64,
}

/// Those who wait at a counter, by number.
type Line = BTreeMap<u64, Waiter>;

#[derive(Debug)]
struct Waiter {
    told: Arc<Notify>,
    /// It has no room in its share, and lets others by.
    is_held_up: bool,
}

/// A request that came to a limit on requests in flight.
#[derive(Debug)]
struct Present {
    who: Who,
    service: ServiceId,
    path: Box<str>,
    places: SmallVec<[Place; 1]>,
    waits: Option<Waits>,
    /// Whether it passed all such limits.
    is_in: bool,
}

#[derive(Clone, Debug)]
struct Place {
    limit: LimitId,
    counter: Kept,
    line: Key,
    share: Option<Kept>,
}

#[derive(Debug)]
struct Waits {
    limit: LimitId,
    line: Key,
    told: Arc<Notify>,
}

/// A request's number and what it holds by it, left when it is dropped.
#[derive(Debug)]
pub(crate) struct Presence {
    keyed: Arc<Keyed>,
    number: u64,
    /// Since when it waits for the place that it has to have next.
    pub(super) since: Option<Tick>,
}

/// A place that is asked for.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    pub(super) rule: &'a Rule,
    pub(super) counter: Kept,
    pub(super) line: Key,
    pub(super) most: u32,
    pub(super) fewer: Option<FewerInFlight>,
    /// Whether no other limit on requests in flight is to be asked yet.
    pub(super) is_last: bool,
}

/// What came of asking for a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Entry {
    Entered,
    /// It had it already.
    Held,
    Full,
    /// There was a reload since the terms were read.
    Reloaded,
}

/// Those who are told something, when this is dropped: after all locks, since who is woken may come
/// here at once, or be dropped by its waker.
#[derive(Default)]
struct News(SmallVec<[Arc<Notify>; 2]>);

impl Drop for News {
    fn drop(&mut self) {
        for told in &self.0 {
            told.notify_one();
        }
    }
}

const SHARDS: usize = 64;

impl Places {
    pub(super) fn new(epoch: u64) -> Self {
        Self {
            present: (0..SHARDS).map(|_| Mutex::default()).collect(),
            lines: (0..SHARDS).map(|_| Mutex::default()).collect(),
            numbers: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            epoch: AtomicU64::new(epoch),
        }
    }

    /// How many wait, in all lines.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Whether `who` was looked up under terms that are no longer in force.
    pub(crate) fn is_outdated(&self, who: &Who) -> bool {
        who.epoch < self.epoch.load(Ordering::Acquire)
    }

    fn present(&self, number: u64) -> MutexGuard<'_, HashMap<u64, Present>> {
        lock(shard(&self.present, number))
    }

    fn line(&self, line: Key) -> MutexGuard<'_, HashMap<Key, Line>> {
        lock(shard(&self.lines, line))
    }

    /// Puts somebody in a line, unless `most` are there.
    fn join(&self, line: Key, number: u64, told: &Arc<Notify>, most: usize) -> bool {
        let mut lines = self.line(line);
        let has_room = lines.get(&line).map_or(0, BTreeMap::len) < most;
        if has_room {
            let waiter = Waiter {
                told: Arc::clone(told),
                is_held_up: false,
            };
            lines.entry(line).or_default().insert(number, waiter);
            self.waiting.fetch_add(1, Ordering::SeqCst);
            // Who leaves a place from here on sees that somebody waits; who left before is seen.
            fence(Ordering::SeqCst);
        }
        has_room
    }

    /// Takes somebody out of a line; the first of those who stay is told.
    fn part(&self, line: Key, number: u64, news: &mut News) {
        let mut lines = self.line(line);
        if let Some(those) = lines.get_mut(&line)
            && those.remove(&number).is_some()
        {
            self.waiting.fetch_sub(1, Ordering::SeqCst);
            if those.is_empty() {
                lines.remove(&line);
            } else {
                news.reach_first(those);
            }
        }
    }

    /// Has the first in a line told that somebody left.
    fn tell(&self, line: Key, news: &mut News) {
        fence(Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0
            && let Some(those) = self.line(line).get_mut(&line)
        {
            news.reach_first(those);
        }
    }
}

impl News {
    /// The first of those who wait is told. Who was held up is asked again.
    fn reach_first(&mut self, line: &mut Line) {
        for waiter in line.values_mut() {
            if !std::mem::take(&mut waiter.is_held_up) {
                break;
            }
        }
        self.reach(line.values().next());
    }

    fn reach(&mut self, waiter: Option<&Waiter>) {
        self.0.extend(waiter.map(|waiter| Arc::clone(&waiter.told)));
    }
}

impl Presence {
    /// Draws a number.
    pub(super) fn new(keyed: &Arc<Keyed>) -> Self {
        Self {
            keyed: Arc::clone(keyed),
            number: keyed.places.numbers.fetch_add(1, Ordering::Relaxed),
            since: None,
        }
    }

    /// Takes a place, unless somebody waits for it who came before, or there is none left.
    pub(super) fn enter(&self, wanted: &Wanted<'_>, asked: &Asked<'_>) -> Entry {
        let mut news = News::default();
        let places = &self.keyed.places;
        let mut present = places.present(self.number);
        if places.is_outdated(asked.who) {
            return Entry::Reloaded;
        }
        let me = present.get(&self.number);
        let entry = if me.is_some_and(|me| me.holds(&wanted.counter)) {
            Entry::Held
        } else if self.has_turn(wanted, &mut news) {
            Entry::Entered
        } else {
            Entry::Full
        };
        if entry == Entry::Full && wanted.rule.binds() {
            return entry;
        }
        let me = present.entry(self.number);
        let me = me.or_insert_with(|| Present::of(asked));
        if entry == Entry::Entered {
            me.places.push(wanted.place());
        }
        let is_waited_for = |waits: &mut Waits| waits.line == wanted.line;
        if let Some(waits) = me.waits.take_if(is_waited_for) {
            places.part(waits.line, self.number, &mut news);
        }
        me.is_in = wanted.is_last;
        entry
    }

    /// Waits in the line, unless as many do as may. Who waited for something else already, may. The
    /// second: whether it is new there.
    pub(super) fn join(
        &self,
        wanted: &Wanted<'_>,
        asked: &Asked<'_>,
        queue: u32,
    ) -> Option<(Arc<Notify>, bool)> {
        let mut news = News::default();
        let places = &self.keyed.places;
        let mut present = places.present(self.number);
        let before = present.get_mut(&self.number).and_then(|me| me.waits.take());
        let is_new = before
            .as_ref()
            .is_none_or(|waits| waits.line != wanted.line);
        let (told, most) = match &before {
            Some(waits) => (Arc::clone(&waits.told), usize::MAX),
            None => (Arc::default(), usize::try_from(queue).unwrap_or(usize::MAX)),
        };
        if is_new {
            if let Some(waits) = before {
                places.part(waits.line, self.number, &mut news);
            }
            if !places.join(wanted.line, self.number, &told, most) {
                return None;
            }
        }
        let me = present.entry(self.number);
        let me = me.or_insert_with(|| Present::of(asked));
        me.is_in = false;
        me.waits = Some(Waits {
            limit: wanted.rule.id().clone(),
            line: wanted.line,
            told: Arc::clone(&told),
        });
        Some((told, is_new))
    }

    /// Waits no longer.
    pub(super) fn give_up(&self) {
        let mut news = News::default();
        let places = &self.keyed.places;
        let mut present = places.present(self.number);
        if let Some(waits) = present.get_mut(&self.number).and_then(|me| me.waits.take()) {
            places.part(waits.line, self.number, &mut news);
        }
    }

    /// Enters if there is room, and nobody is before it whom a place would be of use to.
    fn has_turn(&self, wanted: &Wanted<'_>, news: &mut News) -> bool {
        let (keyed, places) = (&self.keyed, &self.keyed.places);
        if places.waiting.load(Ordering::SeqCst) == 0 {
            let said = keyed.enter_both(wanted);
            if said == Both::Full && wanted.fewer.is_some() {
                // Somebody may have found its share taken by this.
                places.tell(wanted.line, news);
            }
            return said == Both::Entered;
        }
        let mut lines = places.line(wanted.line);
        let mut none = Line::new();
        let line = lines.get_mut(&wanted.line).unwrap_or(&mut none);
        let mut before = line.range(..self.number);
        if !before.all(|(_, waiter)| waiter.is_held_up) {
            return false;
        }
        let said = keyed.enter_both(wanted);
        if said == Both::ShareFull
            && let Some(me) = line.get_mut(&self.number)
        {
            me.is_held_up = true;
            let next = line.range(self.number + 1..).next();
            news.reach(next.map(|(_, waiter)| waiter));
        }
        said == Both::Entered
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut news = News::default();
        let (keyed, places) = (&self.keyed, &self.keyed.places);
        let Some(me) = places.present(self.number).remove(&self.number) else {
            return;
        };
        me.places.iter().for_each(|place| keyed.leave(place));
        if let Some(waits) = &me.waits {
            places.part(waits.line, self.number, &mut news);
        }
        for place in &me.places {
            places.tell(place.line, &mut news);
        }
    }
}

/// What came of asking for a place and one in the share.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Both {
    Entered,
    Full,
    /// There is none in the share.
    ShareFull,
}

impl Keyed {
    /// Counts those who are here by the limits of `plan`, then has `publish` put it in force.
    pub(crate) fn reload(&self, plan: &Plan, tenants: &Tenants, publish: impl FnOnce()) {
        let mut news = News::default();
        let shards = self.places.present.iter();
        let mut shards: Vec<_> = shards.map(lock).collect();
        for (number, present) in shards.iter_mut().flat_map(|shard| shard.iter_mut()) {
            let who = tenants.again(&present.who, plan, &present.service);
            present.move_to(self, *number, (plan, who), &mut news);
        }
        publish();
        let epoch = &self.places.epoch;
        epoch.store(tenants.epoch(), Ordering::Release);
    }

    fn enter_both(&self, wanted: &Wanted<'_>) -> Both {
        let fewer = wanted.fewer.as_ref();
        if fewer.is_some_and(|fewer| !self.count_in(&fewer.counter, fewer.most)) {
            return Both::ShareFull;
        }
        if self.count_in(&wanted.counter, wanted.most) {
            return Both::Entered;
        }
        if let Some(fewer) = fewer {
            self.count_out(&fewer.counter);
        }
        Both::Full
    }

    fn leave(&self, place: &Place) {
        if let Some(share) = &place.share {
            self.count_out(share);
        }
        self.count_out(&place.counter);
    }

    /// Counts one more in flight, unless there are `most`.
    fn count_in(&self, counter: &Kept, most: u32) -> bool {
        match counter {
            Kept::Pinned(tally) => match &**tally {
                Tally::InFlight(count) => count.enter(most),
                Tally::Used(_) => true,
            },
            Kept::Keyed { key, .. } => self.in_flight.enter(*key, most),
        }
    }

    fn count_out(&self, counter: &Kept) {
        match counter {
            Kept::Pinned(tally) => {
                if let Tally::InFlight(count) = &**tally {
                    count.leave();
                }
            }
            Kept::Keyed { key, .. } => self.in_flight.leave(*key),
        }
    }
}

impl Present {
    fn of(asked: &Asked<'_>) -> Self {
        Self {
            who: asked.who.clone(),
            service: asked.service.clone(),
            path: asked.path.into(),
            places: SmallVec::new(),
            waits: None,
            is_in: false,
        }
    }

    fn holds(&self, counter: &Kept) -> bool {
        self.places.iter().any(|place| place.counter.is(counter))
    }

    /// Holds and waits for what it would under `plan`.
    fn move_to(&mut self, keyed: &Keyed, number: u64, (plan, who): (&Plan, Who), news: &mut News) {
        let asked = Asked {
            plan,
            who: &who,
            service: &self.service,
            path: &self.path,
            deadline: Tick::MAX,
            share: keyed.health.share(&self.service),
        };
        let had = std::mem::take(&mut self.places);
        let is_shared = had.iter().any(|place| place.share.is_some());
        let mut waits_at = None;
        for applied in who.lane.terms.rules(&self.service, &self.path) {
            let rule = &applied.rule;
            if rule.in_flight_max().is_none() {
                continue;
            }
            let counter = keyed.kept(applied, &asked);
            let line = keyed.line_key(rule, &counter);
            let waits = self.waits.as_ref();
            if waits.is_some_and(|waits| waits.limit == *rule.id()) && rule.queue().is_some() {
                waits_at = Some(line);
            }
            let is_named = |place: &Place| place.limit == *rule.id();
            if (self.is_in && rule.binds()) || had.iter().any(is_named) {
                let share = || keyed.counter_of_share(rule, &counter, &self.service);
                self.places.push(Place {
                    limit: rule.id().clone(),
                    share: (is_shared && rule.binds()).then(share),
                    counter,
                    line,
                });
            }
        }
        // In before out, so that nobody who looks sees too few.
        for place in &self.places {
            keyed.count_in(&place.counter, u32::MAX);
            if let Some(share) = &place.share {
                keyed.count_in(share, u32::MAX);
            }
        }
        had.iter().for_each(|place| keyed.leave(place));
        self.wait_at(keyed, number, waits_at, news);
        self.who = who;
    }

    /// Goes to another line at its number, and asks again.
    fn wait_at(&mut self, keyed: &Keyed, number: u64, line: Option<Key>, news: &mut News) {
        let Some(waits) = self.waits.take() else {
            return;
        };
        news.0.push(Arc::clone(&waits.told));
        let is_moved = line != Some(waits.line);
        if is_moved {
            keyed.places.part(waits.line, number, news);
        }
        if let Some(line) = line {
            if is_moved {
                keyed.places.join(line, number, &waits.told, usize::MAX);
            }
            self.waits = Some(Waits { line, ..waits });
        }
    }
}

impl Wanted<'_> {
    fn place(&self) -> Place {
        Place {
            limit: self.rule.id().clone(),
            counter: self.counter.clone(),
            line: self.line,
            share: self.fewer.as_ref().map(|fewer| fewer.counter.clone()),
        }
    }
}

fn shard<T>(shards: &[T], of: impl Hash) -> &T {
    let hash = FixedState::default().hash_one(of);
    &shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
}

fn lock<T>(shard: &Mutex<T>) -> MutexGuard<'_, T> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
