//! What the store knows of one key.
//!
//! What is lent is owed and does not drain while it is out: debt never falls below it, sliding
//! buckets count it as used now. So what is out counts against the burst. It is over when the node
//! says so in its next batch, or when it has expired; then it counts as used at that time.
//!
//! What counts when it is granted may be undone. Had it never been granted, a bucket would owe less
//! by what of it did not drain meanwhile, which is all of it as long as more was owed all the time.
//! The least that was owed since is what was owed then, less what could drain and what went back:
//! so an undo says how much was owed then, and how much had ever gone back.

use std::{collections::VecDeque, time::Duration};

use super::{Batch, Grant, Kind, Terms, Undo, Want};

#[derive(Clone, Debug)]
pub(super) struct Account {
    unit: u64,
    span_us: u64,
    /// When it was last brought up to date, in microseconds.
    at: u64,
    count: Count,
    holders: Vec<Holder>,
    /// Nothing is undone that was granted before.
    since: u64,
    /// Parts that ever went back to a bucket.
    returned: u64,
}

#[derive(Clone, Debug)]
enum Count {
    /// Parts owed.
    Debt(u64),
    /// The window's number, and units used in it.
    Window(u64, u64),
    /// The newest bucket's number, and units used, the newest first.
    Buckets(u64, [u64; BUCKETS]),
    /// When how many units were used.
    Log(VecDeque<(u64, u64)>),
}

/// What a node has out.
#[derive(Clone, Copy, Debug)]
struct Holder {
    node: u64,
    lent: u64,
    lent_until: u64,
    /// For requests that wait for the answer.
    held: u64,
    held_until: u64,
}

impl Account {
    pub(super) fn new(terms: &Terms, now: u64) -> Self {
        let count = match terms.kind {
            Kind::Bucket | Kind::Leaky => Count::Debt(0),
            Kind::Window => Count::Window(now / terms.span_us, 0),
            Kind::Buckets => Count::Buckets(now / terms.span_us, [0; BUCKETS]),
            Kind::Log => Count::Log(VecDeque::new()),
        };
        Self {
            unit: terms.unit,
            span_us: terms.span_us,
            at: now,
            count,
            holders: Vec::new(),
            since: now,
            returned: 0,
        }
    }

    /// Takes in what a node says of the key, and charges what can be granted of its want: so many
    /// units, for so long.
    pub(super) fn trade(&mut self, now: u64, nodes: u64, batch: &Batch, want: &Want) -> (u64, u64) {
        let terms = &want.terms;
        self.convert(now, terms);
        self.settle(now, terms);
        // As good as new, and alike whether it was forgotten meanwhile or not.
        if self.is_empty(now, terms) {
            (self.since, self.returned) = (now, 0);
        }
        self.report(now, batch.node, want);
        self.undo(now, terms, &want.undo);
        let room = self.room(terms);
        let each = want.each.max(1);
        let need = match terms.kind {
            Kind::Leaky if room > 0 => each.min(want.need),
            _ => want.need.min(room - room % each),
        };
        let extra = match want.is_exact {
            true => 0,
            false => want
                .extra
                .min(room.saturating_sub(need) / (2 * nodes.max(1))),
        };
        self.charge(need + extra, now, want.is_exact);
        if !want.is_exact {
            self.holders.retain(|holder| holder.node != batch.node);
            self.hold(now, batch, terms, (want.have + extra, need));
        }
        self.keep_out(terms);
        (need + extra, self.lease(now, batch, terms))
    }

    /// Microseconds until a claim may have so many units: none, if they are there.
    pub(super) fn lacks(&self, now: u64, terms: &Terms, units: u64) -> u64 {
        let room = self.room(terms);
        match units <= room || (terms.kind == Kind::Leaky && room > 0) {
            true => 0,
            false => self.wait(now, terms, units).max(1),
        }
    }

    /// Charges a node's claim, for which there is room.
    pub(super) fn claim(&mut self, now: u64, batch: &Batch, want: &Want, units: u64) {
        self.charge(units, now, want.is_exact);
        if !want.is_exact {
            self.hold(now, batch, &want.terms, (0, units));
        }
        self.keep_out(&want.terms);
    }

    /// What the node is told of its want, when all of its batch is charged.
    pub(super) fn grant(&self, now: u64, want: &Want, (units, lease): (u64, u64)) -> Grant {
        let terms = &want.terms;
        Grant {
            units,
            left: self.room(terms),
            wait: Duration::from_micros(self.wait(now, terms, want.each.max(1))),
            reset: Duration::from_micros(self.reset(now, terms)),
            lease: Duration::from_micros(lease),
            mark: self.mark(),
        }
    }

    /// Whether nothing of it counts any more. Looking changes nothing.
    pub(super) fn is_forgotten(&self, now: u64, terms: &Terms) -> bool {
        let mut later = self.clone();
        later.settle(now, terms);
        later.is_empty(now, terms)
    }

    fn is_empty(&self, now: u64, terms: &Terms) -> bool {
        self.holders.is_empty() && self.reset(now, terms) == 0
    }

    /// Under other terms the same units are owed, and what was used counts as used now.
    fn convert(&mut self, now: u64, terms: &Terms) {
        if (self.unit, self.span_us) == (terms.unit, terms.span_us) {
            return;
        }
        match &mut self.count {
            Count::Debt(debt) => *debt = debt.div_ceil(self.unit).saturating_mul(terms.unit),
            Count::Window(window, _) => *window = now / terms.span_us,
            Count::Buckets(newest, counts) => {
                let used = counts.iter().sum();
                *counts = [0; BUCKETS];
                (*newest, counts[0]) = (now / terms.span_us, used);
            }
            Count::Log(_) => {}
        }
        (self.unit, self.span_us, self.since) = (terms.unit, terms.span_us, now + 1);
    }

    /// Lets time pass up to now, and leases end on the way.
    fn settle(&mut self, now: u64, terms: &Terms) {
        self.at = self.at.min(now);
        while let Some((until, at)) = self.next_end(now) {
            self.pass(until.max(self.at), terms);
            let holder = &mut self.holders[at];
            let ended = match holder.lent > 0 && holder.lent_until == until {
                true => std::mem::take(&mut holder.lent),
                false => std::mem::take(&mut holder.held),
            };
            if holder.lent + holder.held == 0 {
                self.holders.remove(at);
            }
            if let Count::Buckets(_, counts) = &mut self.count {
                counts[0] += ended;
            }
        }
        self.pass(now, terms);
    }

    /// Which lease ends first, if one does by now.
    fn next_end(&self, now: u64) -> Option<(u64, usize)> {
        let ends = self.holders.iter().enumerate().flat_map(|(at, holder)| {
            let lent = (holder.lent > 0).then_some((holder.lent_until, at));
            let held = (holder.held > 0).then_some((holder.held_until, at));
            lent.into_iter().chain(held)
        });
        ends.min().filter(|(until, _)| *until <= now)
    }

    fn pass(&mut self, now: u64, terms: &Terms) {
        let out = self.out();
        match &mut self.count {
            Count::Debt(debt) => {
                let drained = (now - self.at).saturating_mul(terms.gain);
                *debt = debt.saturating_sub(drained).max(out * self.unit);
            }
            Count::Window(window, used) => {
                let current = now / terms.span_us;
                if current > *window {
                    *used = 0;
                }
                *window = current;
            }
            Count::Buckets(newest, counts) => {
                let current = now / terms.span_us;
                let by = current.saturating_sub(*newest);
                let by = usize::try_from(by).map_or(BUCKETS, |by| by.min(BUCKETS));
                counts.copy_within(..BUCKETS - by, by);
                counts[..by].fill(0);
                *newest = current;
            }
            Count::Log(entries) => {
                while let Some((at, _)) = entries.front()
                    && at + terms.span_us <= now
                {
                    entries.pop_front();
                }
            }
        }
        self.at = now;
    }

    /// Takes in what the node says of what it had.
    fn report(&mut self, now: u64, node: u64, want: &Want) {
        let terms = &want.terms;
        let mut known = 0;
        if !want.is_exact {
            let holder = self.holders.iter().position(|holder| holder.node == node);
            if let Some(at) = holder {
                let holder = self.holders.remove(at);
                known = holder.lent + holder.held;
            }
        }
        let over = known.saturating_sub(want.have);
        let back = want.back.min(over);
        let debt_max = 2 * terms.capacity * self.unit;
        let unit = self.unit;
        match &mut self.count {
            Count::Debt(debt) => {
                let parts = (back * unit).min(*debt);
                (*debt, self.returned) = (*debt - parts, (self.returned + parts) % ROUND);
                let spent = want.spent.min(2 * terms.capacity) * unit;
                *debt = (*debt + spent).min(debt_max.max(*debt));
            }
            Count::Window(_, used) => {
                *used = used.saturating_sub(back) + want.spent.min(2 * terms.capacity);
            }
            Count::Buckets(_, counts) => {
                counts[0] += over - back + want.spent.min(2 * terms.capacity);
            }
            Count::Log(entries) if want.spent > 0 => {
                entries.push_back((now, want.spent.min(2 * terms.capacity)));
            }
            Count::Log(_) => {}
        }
        // What it still has is out again, whatever becomes of the rest of the want.
        if !want.is_exact && want.have > 0 {
            self.holders.push(Holder {
                node,
                lent: want.have,
                lent_until: u64::MAX,
                held: 0,
                held_until: 0,
            });
        }
        self.keep_out(terms);
    }

    /// Takes back what was counted when it was granted, as far as it still counts.
    fn undo(&mut self, now: u64, terms: &Terms, undo: &Undo) {
        if undo.units == 0 || undo.at_us < self.since || undo.at_us > now {
            return;
        }
        let mut units = undo.units.min(terms.capacity.max(Terms::COST_MAX));
        match &mut self.count {
            Count::Debt(debt) => {
                let drained = (now - undo.at_us).saturating_mul(terms.gain);
                let least = (undo.mark % ROUND + ROUND - self.returned) % ROUND;
                // More went back since than was owed then.
                let least = if least > ROUND / 2 { 0 } else { least };
                let parts = least.saturating_sub(drained).min(units * self.unit);
                let parts = parts.min(*debt);
                (*debt, self.returned) = (*debt - parts, (self.returned + parts) % ROUND);
            }
            Count::Window(window, used) if *window == undo.at_us / terms.span_us => {
                *used = used.saturating_sub(units);
            }
            Count::Window(..) => {}
            Count::Buckets(newest, counts) => {
                let age = newest.saturating_sub(undo.at_us / terms.span_us);
                let age = usize::try_from(age).unwrap_or(BUCKETS);
                if let Some(count) = counts.get_mut(age) {
                    *count = count.saturating_sub(units);
                }
            }
            Count::Log(entries) => {
                for (_, count) in entries.iter_mut().filter(|(at, _)| *at == undo.at_us) {
                    let parts = units.min(*count);
                    (units, *count) = (units - parts, *count - parts);
                }
                entries.retain(|(_, count)| *count > 0);
            }
        }
        self.keep_out(terms);
    }

    /// What an undo of what is granted now has to say.
    fn mark(&self) -> u64 {
        match &self.count {
            Count::Debt(debt) => (debt + self.returned) % ROUND,
            _ => 0,
        }
    }

    /// Notes that so much more is out with a node: lent, and held for those who wait.
    fn hold(&mut self, now: u64, batch: &Batch, terms: &Terms, (lent, held): (u64, u64)) {
        let lease = self.lease(now, batch, terms);
        let lent_until = now + lease + lease / MARGIN;
        let hold = micros(batch.hold);
        let held_until = (now + hold + hold / MARGIN).min(lent_until);
        let mut holders = self.holders.iter_mut();
        if let Some(holder) = holders.find(|holder| holder.node == batch.node) {
            (holder.held, holder.held_until) = (holder.held + held, held_until);
        } else if lent + held > 0 {
            self.holders.push(Holder {
                node: batch.node,
                lent,
                lent_until,
                held,
                held_until,
            });
        }
    }

    /// What is out is owed, even if the store has forgotten why.
    fn keep_out(&mut self, terms: &Terms) {
        let out = self.out();
        match &mut self.count {
            Count::Debt(debt) if terms.kind == Kind::Bucket => *debt = (*debt).max(out * self.unit),
            Count::Window(_, used) => *used = (*used).max(out),
            _ => {}
        }
    }

    fn out(&self) -> u64 {
        let out = self.holders.iter().map(|holder| holder.lent + holder.held);
        out.sum()
    }

    /// Units that are left.
    fn room(&self, terms: &Terms) -> u64 {
        let used = match &self.count {
            Count::Debt(debt) if terms.kind == Kind::Leaky => return u64::from(*debt == 0),
            Count::Debt(debt) => {
                let all = terms.capacity * self.unit;
                return all.saturating_sub(*debt) / self.unit;
            }
            Count::Window(_, used) => *used,
            Count::Buckets(_, counts) => counts.iter().sum::<u64>() + self.out(),
            Count::Log(entries) => entries.iter().map(|(_, units)| units).sum(),
        };
        terms.capacity.saturating_sub(used)
    }

    fn charge(&mut self, units: u64, now: u64, is_exact: bool) {
        match &mut self.count {
            Count::Debt(debt) => *debt += units * self.unit,
            Count::Window(_, used) => *used += units,
            Count::Buckets(_, counts) if is_exact => counts[0] += units,
            // Counted as what is out.
            Count::Buckets(..) => {}
            Count::Log(entries) if units > 0 => entries.push_back((now, units)),
            Count::Log(_) => {}
        }
    }

    /// How long what is granted now may be used: within its window, if there are windows.
    fn lease(&self, now: u64, batch: &Batch, terms: &Terms) -> u64 {
        let lease = micros(batch.lease);
        match self.count {
            Count::Window(..) => {
                let left = terms.span_us - now % terms.span_us;
                lease.min(left - left.div_ceil(MARGIN))
            }
            _ => lease,
        }
    }

    /// Microseconds until so many units may be there.
    fn wait(&self, now: u64, terms: &Terms, units: u64) -> u64 {
        match &self.count {
            Count::Debt(debt) if terms.kind == Kind::Leaky => debt.div_ceil(terms.gain),
            Count::Debt(debt) => {
                let owed = debt.saturating_add(units.saturating_mul(self.unit));
                let over = owed.saturating_sub(terms.capacity * self.unit);
                over.div_ceil(terms.gain)
            }
            Count::Window(_, used) if used + units <= terms.capacity => 0,
            Count::Window(..) => terms.span_us - now % terms.span_us,
            Count::Buckets(newest, counts) => {
                let mut used = counts.iter().sum::<u64>() + self.out();
                let mut ready = now;
                for (age, count) in counts.iter().enumerate().rev() {
                    if used + units <= terms.capacity {
                        break;
                    }
                    used -= count;
                    ready = (newest + (BUCKETS - age) as u64) * terms.span_us;
                }
                ready.saturating_sub(now)
            }
            Count::Log(entries) => {
                let mut used: u64 = entries.iter().map(|(_, units)| units).sum();
                let mut ready = now;
                for (at, count) in entries {
                    if used + units <= terms.capacity {
                        break;
                    }
                    used -= count;
                    ready = at + terms.span_us;
                }
                ready.saturating_sub(now)
            }
        }
    }

    /// Microseconds until nothing counts any more.
    fn reset(&self, now: u64, terms: &Terms) -> u64 {
        match &self.count {
            Count::Debt(debt) => debt.div_ceil(terms.gain),
            Count::Window(_, 0) => 0,
            Count::Window(..) => terms.span_us - now % terms.span_us,
            Count::Buckets(newest, counts) => match counts.iter().sum::<u64>() + self.out() {
                0 => 0,
                _ => (newest + BUCKETS as u64) * terms.span_us - now,
            },
            Count::Log(entries) => entries.back().map_or(0, |(at, _)| at + terms.span_us - now),
        }
    }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

const BUCKETS: usize = 11;
/// Where the number of parts that went back begins anew; sums of two such are exact in a double.
const ROUND: u64 = 1 << 52;
/// Clocks may differ in speed by one part in so many.
const MARGIN: u64 = 64;
