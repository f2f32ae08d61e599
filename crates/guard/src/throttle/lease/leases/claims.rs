//! What a request asks of several keys is decided as one: all of them are charged, or none.
//!
//! What the node can decide by itself, it decides under one lock. If that refuses the request, nobody
//! is asked, and nothing is taken. Otherwise all that the store is to be asked for goes to it as one
//! [`Claim`], which it charges whole or not at all: what it refuses takes nothing of any key, not even
//! for a moment, and a request waits for one answer however many limits it has. Units of leases that
//! are here, and of the own share, are set aside meanwhile.

use std::{collections::BTreeMap, time::Duration};

use watertight_base::Tick;

use super::{
    super::{
        Answer, Ask, Claim, Grant, Kind, Part, Settled, Standing, Taken, Ticket, Verdict, Want,
        ask::Used, link::Flight,
    },
    Decided, Draft, Leases,
};

/// Claims that are not settled, by their first tickets.
#[derive(Debug, Default)]
pub(super) struct Claims(BTreeMap<Ticket, Claimed>);

#[derive(Debug)]
struct Claimed {
    /// Their tickets follow each other.
    parts: Vec<Wanted>,
    /// Whether a batch with it is on its way.
    is_sent: bool,
    /// Whether nobody waits for it any more.
    is_gone: bool,
}

#[derive(Clone, Copy, Debug)]
struct Wanted {
    ticket: Ticket,
    at: u32,
    cost: u64,
    binds: bool,
}

/// A claim that was answered.
struct Landed<'a> {
    claim: &'a Claim,
    waits: &'a [Duration],
    flight: &'a Flight,
    answer: &'a Answer,
}

impl Leases {
    /// Asks several keys for a request: all of those that bind are charged, or none. What comes of
    /// each, in order; none of those that need not be asked, since another refuses the request. The
    /// tickets are settled together. No key is asked for twice.
    pub fn take_all(&mut self, now: Tick, asks: &[Ask<'_>]) -> Vec<Option<Taken>> {
        let (mut decided, mut is_refused) = (Vec::with_capacity(asks.len()), false);
        for ask in asks {
            let one = self.decide(now, ask);
            match &one {
                Decided::Now(verdict) => is_refused = ask.binds && !verdict.decision.allowed,
                // Nobody is given its place.
                Decided::Ask(at) => self.keys[*at].claims += 1,
            }
            decided.push(one);
            if is_refused {
                break;
            }
        }
        let many = decided.iter().filter(|one| matches!(one, Decided::Ask(_)));
        if is_refused {
            self.give_up(now, asks, &decided)
        } else if many.count() > 1 {
            self.wait_for_all(asks, &decided)
        } else {
            let both = asks.iter().zip(decided);
            both.map(|(ask, one)| match one {
                Decided::Now(verdict) => Some(Taken::Now(verdict)),
                Decided::Ask(at) => {
                    self.keys[at].claims -= 1;
                    Some(self.wait(at, ask.cost))
                }
            })
            .collect()
        }
    }

    /// Gives back what was taken for a request that the last of those decided refuses.
    fn give_up(&mut self, now: Tick, asks: &[Ask<'_>], decided: &[Decided]) -> Vec<Option<Taken>> {
        let both = asks.iter().zip(decided);
        let mut taken: Vec<_> = both
            .map(|(ask, one)| match one {
                Decided::Now(verdict) => {
                    self.refund(now, ask, verdict);
                    Some(Taken::Now(verdict.given_back(ask.cost, ask.quota)))
                }
                Decided::Ask(at) => {
                    self.keys[*at].claims -= 1;
                    None
                }
            })
            .collect();
        taken.resize(asks.len(), None);
        taken
    }

    fn wait_for_all(&mut self, asks: &[Ask<'_>], decided: &[Decided]) -> Vec<Option<Taken>> {
        let mut parts = Vec::new();
        let both = asks.iter().zip(decided);
        let taken = both.map(|(ask, one)| match one {
            Decided::Now(verdict) => Some(Taken::Now(*verdict)),
            Decided::Ask(at) => {
                let ticket = self.ticket(*at);
                let (at, cost, binds) = (*at, ask.cost, ask.binds);
                parts.push(Wanted {
                    ticket,
                    at,
                    cost,
                    binds,
                });
                Some(Taken::Ask(ticket))
            }
        });
        let taken = taken.collect();
        self.line_up(Claimed {
            parts,
            is_sent: false,
            is_gone: false,
        });
        taken
    }

    fn line_up(&mut self, claimed: Claimed) {
        let Some(Wanted { ticket, .. }) = claimed.parts.first().copied() else {
            return;
        };
        let is_named = |part: &Wanted| Standing::of(part.at) == Standing::Named;
        let is_named = claimed.parts.iter().all(is_named);
        self.lines.push_claim(ticket, is_named);
        self.claims.0.insert(ticket, claimed);
    }

    /// Puts a claim into a batch, with a want of each of its keys.
    pub(super) fn claim(&mut self, now: Tick, number: u64, first: Ticket, draft: &mut Draft) {
        let Some(claimed) = self.claims.0.get_mut(&first) else {
            return;
        };
        claimed.is_sent = true;
        let wanted = claimed.parts.clone();
        let parts = wanted.into_iter().map(|part| Part {
            want: self.want(now, number, part.at, Some(part.cost), draft),
            units: part.cost,
            binds: part.binds,
        });
        let parts = parts.collect();
        draft.claims.push(Claim { parts });
        draft.claimed.push(first);
    }

    /// Forgets the claim that a ticket is of, if it is of one. What it is granted goes back.
    pub(super) fn cancel_claim(&mut self, ticket: Ticket) -> bool {
        let before = self.claims.0.range_mut(..=ticket).next_back();
        let is_of = |claimed: &Claimed| claimed.parts.iter().any(|part| part.ticket == ticket);
        let Some((first, claimed)) = before.filter(|(_, claimed)| is_of(claimed)) else {
            return false;
        };
        if claimed.is_gone {
            return true;
        }
        claimed.is_gone = true;
        for part in &claimed.parts {
            self.waiting[Standing::of(part.at) as usize] -= 1;
        }
        if !claimed.is_sent {
            let first = *first;
            self.release(first);
        }
        true
    }

    /// Takes in what the store said of claims, after what it granted of each key.
    pub(super) fn settle_claims(
        &mut self,
        now: Tick,
        flight: &Flight,
        answer: &Answer,
        settled: &mut Settled,
    ) {
        let claims = flight.batch.claims.iter().zip(&answer.claims);
        for (first, (claim, waits)) in flight.claimed.iter().zip(claims) {
            let Some(mut claimed) = self.release(*first) else {
                continue;
            };
            let landed = Landed {
                claim,
                waits,
                flight,
                answer,
            };
            if claimed.is_gone {
                self.give_claim_back(&claimed, &landed);
            } else if landed.is_too_late(now) {
                self.give_claim_back(&claimed, &landed);
                claimed.is_sent = false;
                for part in &claimed.parts {
                    self.keys[part.at].claims += 1;
                }
                self.line_up(claimed);
            } else {
                self.settle_claim(now, &claimed, &landed, settled);
            }
        }
    }

    fn settle_claim(
        &mut self,
        now: Tick,
        claimed: &Claimed,
        landed: &Landed<'_>,
        settled: &mut Settled,
    ) {
        let is_granted = landed.claim.is_granted(landed.waits);
        let until = landed.flight.sent + self.settings.timeout / 2;
        for (index, part) in claimed.parts.iter().enumerate() {
            let (want, _, wait) = landed.of(index);
            let nodes = self.link.nodes;
            let entry = &mut self.keys[part.at];
            let is_charged = is_granted && wait.is_zero();
            if is_charged {
                entry.track(now, part.cost, nodes);
            }
            let used = match is_charged {
                true => entry.used(want, until),
                false => Used::Nothing,
            };
            let decision = entry.decision(now, wait.is_zero(), wait);
            self.waiting[Standing::of(part.at) as usize] -= 1;
            settled.push((part.ticket, self.verdict(now, decision, used)));
        }
    }

    fn give_claim_back(&mut self, claimed: &Claimed, landed: &Landed<'_>) {
        if !landed.claim.is_granted(landed.waits) {
            return;
        }
        for (index, part) in claimed.parts.iter().enumerate() {
            let (want, _, wait) = landed.of(index);
            if wait.is_zero() {
                self.keys[part.at].give_back(want, part.cost);
                self.queue_calm(part.at);
            }
        }
    }

    /// Decides all claims by the node's own shares, each as one.
    pub(super) fn settle_claims_alone(&mut self, now: Tick, settled: &mut Settled) {
        while let Some((first, _)) = self.claims.0.first_key_value()
            && let Some(claimed) = self.release(*first)
        {
            if claimed.is_gone {
                continue;
            }
            let parts = claimed.parts.iter();
            let verdicts = parts.map(|part| (*part, self.alone(now, part.at, part.cost)));
            let verdicts: Vec<_> = verdicts.collect();
            let refuses =
                |(part, verdict): &(Wanted, Verdict)| part.binds && !verdict.decision.allowed;
            let is_refused = verdicts.iter().any(refuses);
            for (part, mut verdict) in verdicts {
                if is_refused {
                    let entry = &mut self.keys[part.at];
                    entry.refund(now, part.cost, verdict.number, verdict.used);
                    verdict = verdict.given_back(part.cost, &entry.quota);
                }
                self.waiting[Standing::of(part.at) as usize] -= 1;
                settled.push((part.ticket, verdict));
            }
        }
    }

    /// Takes a claim out; its keys may lose their places.
    fn release(&mut self, first: Ticket) -> Option<Claimed> {
        let claimed = self.claims.0.remove(&first)?;
        for part in &claimed.parts {
            self.keys[part.at].claims -= 1;
        }
        Some(claimed)
    }
}

impl Landed<'_> {
    /// A part's want, what was granted of that, and how long the part has to wait.
    fn of(&self, part: usize) -> (&Want, &Grant, Duration) {
        let want = self.claim.parts[part].want;
        let wants = &self.flight.batch.wants;
        (&wants[want], &self.answer.grants[want], self.waits[part])
    }

    /// Whether some of it was granted in a window that is over: that is not used in the next.
    fn is_too_late(&self, now: Tick) -> bool {
        let mut parts = (0..self.claim.parts.len()).map(|part| self.of(part));
        let is_over = |(want, grant, wait): (&Want, &Grant, Duration)| {
            let is_leased = want.terms.kind == Kind::Window && !want.is_exact;
            is_leased && wait.is_zero() && now >= self.flight.sent + grant.lease
        };
        self.claim.is_granted(self.waits) && parts.any(is_over)
    }
}
