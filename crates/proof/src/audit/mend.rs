//! How a compartment in which tiers meet is mended: tier 1 gets seats of its own, and what tier 3 may take of
//! the rest is capped.
//!
//! The seats are those that the compartment has: nobody else loses any. How they are divided is taken from
//! live use where a node was asked ([`needed_seats`]), otherwise tier 1 gets half of them, rounded up.

use watertight_base::{CompartmentId, ServiceId};
use watertight_guard::pool::{CompartmentSpec, Layout, Lend, PoolSpec};
use watertight_plan::{Caller, TcpDoor};

use super::{
    Fix, Subject,
    snippet::{Snippet, inline, list, string},
};

/// Seats for `mean` of them held on average, so that what bunches need stays below the mark at
/// `alert_percent`: (m + 4 × √m) / alert. Beyond m + 4 × √m a Poisson number is less than once in a
/// thousand looks.
pub(super) fn needed_seats(mean: f64, alert_percent: f64) -> u32 {
    let percent = alert_percent.clamp(1.0, 100.0);
    let seats = (mean + 4.0 * mean.sqrt()) * 100.0 / percent;
    // What is whole but for the last bit of a fraction is whole.
    let seats = (seats - 1e-9).ceil().clamp(1.0, 1e6);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and a million"
    )]
    let seats = seats as u32;
    seats
}

/// A compartment in which tiers meet.
pub(super) struct Meeting<'m> {
    pub(super) subject: Subject<'m>,
    pub(super) pool: &'m PoolSpec,
    /// Doors of a pool of connections.
    pub(super) doors: Option<&'m [TcpDoor]>,
    pub(super) part: &'m CompartmentSpec,
}

impl Meeting<'_> {
    /// The change that mends it.
    pub(super) fn fix(&self) -> Fix {
        let (ones, others): (Vec<_>, Vec<_>) =
            self.part.services.iter().partition(|id| self.tier(id) == 1);
        let is_split = !ones.is_empty() && !others.is_empty();
        let seats = self.part.seats.get();
        let mut snippet = Snippet::default();
        let mut rest_seats = seats;
        if is_split {
            let short = self.short();
            if let Some(refusal) = self.no_room(short) {
                return refusal;
            }
            // One seat cannot be divided; another is there, or is made.
            let total = seats.max(2);
            if seats < 2 && short > 0 {
                let capacity = self.pool.capacity.get() + short;
                snippet = snippet
                    .table(&["pools", self.pool.id.as_str()])
                    .set("capacity", capacity);
            }
            let own = self.own_seats(&ones, total);
            rest_seats = total - own;
            snippet = self.own_table(snippet, &ones, own);
        }
        let Some(caps) = self.caps(&others, rest_seats) else {
            let says = format!(
                "give {} more seats than it has services of tier 3, or those a compartment of their own",
                self.part.id
            );
            return Fix { says, toml: None };
        };
        let snippet = self.rest_table(snippet, &others, rest_seats, &caps);
        let says = match is_split {
            true => {
                let how = match self.measured(&ones) {
                    Some(needs) if needs == seats.max(2) - rest_seats => {
                        "as many as its use of the node asks for"
                    }
                    Some(_) => "its use of the node asks for more, and others keep one",
                    None => "half of these, until the use of a node says better",
                };
                format!("give {} seats of its own: {how}", names(&ones))
            }
            false => format!("cap what tier 3 may take of {}", self.part.id),
        };
        Fix {
            says,
            toml: Some(snippet.finish()),
        }
    }

    fn tier(&self, id: &ServiceId) -> u8 {
        let service = self.subject.plan.services().get(id);
        service.map_or(3, |service| service.tier.number())
    }

    /// Seats that the pool lacks to give another to each compartment of one seat that is to be divided.
    /// It is the same for all of them, since all of it may be put in at once.
    fn short(&self) -> u32 {
        let parts = || self.pool.compartments.iter();
        let seats: u32 = parts().map(|part| part.seats.get()).sum();
        let free = self
            .pool
            .capacity
            .get()
            .saturating_sub(seats + self.pool.reserve);
        let meets = |part: &CompartmentSpec| {
            let ones = part.services.iter().filter(|id| self.tier(id) == 1).count();
            ones > 0 && ones < part.services.len()
        };
        let wanted = parts()
            .filter(|part| part.seats.get() < 2 && meets(part))
            .count();
        u32::try_from(wanted)
            .unwrap_or(u32::MAX)
            .saturating_sub(free)
    }

    /// Why the compartments of the pool cannot be divided just so, if so.
    fn no_room(&self, short: u32) -> Option<Fix> {
        let adaptive = self.pool.adaptive?;
        // Twice as many at the most, when each of them is divided.
        let parts = u32::try_from(self.pool.compartments.len()).unwrap_or(u32::MAX);
        let least = parts.saturating_mul(2).saturating_add(self.pool.reserve);
        (adaptive.min < least || short > 0).then(|| Fix {
            says: format!(
                "raise `adaptive` of {} first, to a `min` of {least} at least, then divide {}",
                self.pool.id, self.part.id
            ),
            toml: None,
        })
    }

    /// How many of `total` seats tier 1 gets.
    fn own_seats(&self, ones: &[&ServiceId], total: u32) -> u32 {
        let seats = self.measured(ones).unwrap_or(total.div_ceil(2));
        seats.clamp(1, total - 1)
    }

    /// What tier 1 needs by its use so far, if it is known.
    fn measured(&self, ones: &[&ServiceId]) -> Option<u32> {
        let node = self.subject.evidence.node?;
        let wall = node.wall(self.pool.id.as_str(), self.part.id.as_str())?;
        let mine = wall.sitting.iter();
        let mine = mine.filter(|it| ones.iter().any(|id| id.as_str() == it.service));
        let mean = node.mean(mine.map(|it| it.seat_seconds).sum());
        let alert = self.subject.plan.alert_of(&self.pool.id).get();
        (mean > 0.0).then(|| needed_seats(mean, alert))
    }

    fn own_table(&self, snippet: Snippet, ones: &[&ServiceId], seats: u32) -> Snippet {
        let id = self.own_name(ones);
        let mut snippet = snippet
            .table(&["pools", self.pool.id.as_str(), "compartments", &id])
            .set("services", list(ones.iter().map(|id| id.as_str())))
            .set("seats", seats);
        let own = CompartmentSpec::new(self.part.id.clone(), self.part.seats, Vec::new());
        for (key, now, default) in [
            ("queue", self.part.queue, own.queue),
            ("queue_total", self.part.queue_total, own.queue_total),
        ] {
            if now != default {
                snippet = snippet.set(key, now);
            }
        }
        for (key, now, default) in [
            ("max_wait", self.part.max_wait, own.max_wait),
            ("wait_target", self.part.wait_target, own.wait_target),
        ] {
            if now != default {
                snippet = snippet.set(key, format!("\"{}ms\"", now.as_millis()));
            }
        }
        let caps = self.part.caps.iter().filter(|(id, _)| ones.contains(&id));
        let caps = caps.map(|(id, cap)| (id.as_str(), cap.get().min(seats).to_string()));
        let caps: Vec<_> = caps.collect();
        if !caps.is_empty() {
            snippet = snippet.set("caps", inline(caps));
        }
        self.binds(snippet, ones)
    }

    /// A name that no compartment of the pool has, nor gets when others are divided.
    fn own_name(&self, ones: &[&ServiceId]) -> String {
        let parts = || self.pool.compartments.iter();
        let is_free = |name: &String| {
            let is_short = name.len() <= CompartmentId::MAX_LENGTH;
            is_short && name != Layout::RESERVE && parts().all(|part| part.id.as_str() != name)
        };
        let only = match ones {
            [only] => Some(only.to_string()),
            _ => None,
        };
        let at = parts()
            .position(|part| part.id == self.part.id)
            .unwrap_or(0);
        let more = (0_u32..).map(|number| format!("tier-1-{at}-{number}"));
        let names = only.into_iter().chain([format!("{}-tier-1", self.part.id)]);
        names.chain(more).find(is_free).unwrap_or_default()
    }

    fn rest_table(
        &self,
        snippet: Snippet,
        others: &[&ServiceId],
        seats: u32,
        caps: &[(&ServiceId, u32)],
    ) -> Snippet {
        let part = self.part.id.as_str();
        let mut snippet = snippet.table(&["pools", self.pool.id.as_str(), "compartments", part]);
        if others.len() < self.part.services.len() {
            snippet = snippet
                .set("services", list(others.iter().map(|id| id.as_str())))
                .set("seats", seats);
            // Head-room that is written may be more than there now is.
            let default = match self.doors {
                Some(_) => 0,
                None => seats / 8,
            };
            if self.part.head_room >= seats {
                snippet = snippet.set("head_room", default);
            }
        }
        if !caps.is_empty() || !self.part.caps.is_empty() {
            let caps = caps.iter().map(|(id, cap)| (id.as_str(), cap.to_string()));
            snippet = snippet.set("caps", inline(caps));
        }
        if self.part.lend == Lend::Everybody && others.iter().any(|id| self.tier(id) == 1) {
            snippet = snippet.set("lend", false);
        }
        match others.len() < self.part.services.len() {
            true => self.binds(snippet, others),
            false => snippet,
        }
    }

    /// Caps for those who stay, so that tier 3 leaves something to tier 2; none if there is no way.
    fn caps<'c>(&self, others: &[&'c ServiceId], seats: u32) -> Option<Vec<(&'c ServiceId, u32)>> {
        let written = |id: &ServiceId| {
            let mut caps = self.part.caps.iter();
            caps.find(|(service, _)| service == id)
                .map(|(_, cap)| cap.get().min(seats))
        };
        let threes: Vec<_> = others
            .iter()
            .copied()
            .filter(|id| self.tier(id) == 3)
            .collect();
        let sum: Option<u32> = threes.iter().map(|id| written(id)).sum();
        let is_mixed = threes.len() < others.len() && !threes.is_empty();
        if !is_mixed || sum.is_some_and(|sum| sum < seats) {
            let kept = others.iter().filter_map(|id| Some((*id, written(id)?)));
            return Some(kept.collect());
        }
        let number = u32::try_from(threes.len()).ok()?;
        let each = (seats / 2 / number).max(1);
        let most = |id: &ServiceId| written(id).map_or(each, |cap| cap.min(each));
        let taken: u32 = threes.iter().map(|id| most(id)).sum();
        if taken >= seats {
            return None;
        }
        let caps = others.iter().filter_map(|id| match self.tier(id) {
            3 => Some((*id, most(id))),
            _ => Some((*id, written(id)?)),
        });
        Some(caps.collect())
    }

    fn binds(&self, snippet: Snippet, services: &[&ServiceId]) -> Snippet {
        let Some(doors) = self.doors else {
            return snippet;
        };
        let binds = services.iter().filter_map(|id| {
            let mut doors = doors.iter();
            let door = doors.find(|door| door.caller == Caller::Service((*id).clone()))?;
            Some((id.as_str(), string(&door.bind.to_string())))
        });
        snippet.set("binds", inline(binds))
    }
}

fn names(ids: &[&ServiceId]) -> String {
    let names: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    names.join(" and ")
}
