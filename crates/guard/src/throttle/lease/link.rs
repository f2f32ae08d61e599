//! Whether the store answers, and when to send it the next batch.
//!
//! One batch is on its way at a time. When the store is away, nobody waits for it: it is asked
//! whether it is back with batches that want nothing, ever less often.

use std::{sync::Arc, time::Duration};

use watertight_base::Tick;

use super::{Batch, Settings, Ticket, leases::Draft};

#[derive(Debug)]
pub(super) struct Link {
    settings: Settings,
    node: u64,
    number: u64,
    pub(super) nodes: u32,
    /// Since when the store has named fewer nodes, and the most that it named since.
    fewer: Option<(Tick, u32)>,
    flight: Option<Flight>,
    sent: Option<Tick>,
    /// Decisions since the last batch left.
    decisions: u64,
    away: Option<Away>,
}

/// A batch on its way, which keys its wants are for, and which tickets its claims begin with.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) batch: Arc<Batch>,
    pub(super) places: Vec<u32>,
    pub(super) claimed: Vec<Ticket>,
    pub(super) sent: Tick,
    deadline: Tick,
}

#[derive(Clone, Copy, Debug)]
struct Away {
    probe_at: Tick,
    pause: Duration,
}

impl Link {
    pub(super) fn new(node: u64, settings: Settings) -> Self {
        Self {
            nodes: settings.nodes.max(1),
            fewer: None,
            settings,
            node,
            number: 0,
            flight: None,
            sent: None,
            decisions: 0,
            away: None,
        }
    }

    pub(super) fn is_away(&self) -> bool {
        self.away.is_some()
    }

    pub(super) fn decided(&mut self) {
        self.decisions += 1;
    }

    /// The number of the last batch.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// When the batch on its way is given up, or the next may leave.
    pub(super) fn due(&self, has_wants: bool, is_exact: bool) -> Tick {
        if let Some(flight) = &self.flight {
            return flight.deadline;
        }
        if let Some(away) = self.away {
            return away.probe_at;
        }
        let Some(sent) = self.sent else {
            return Tick::ZERO;
        };
        match has_wants {
            true if is_exact => sent,
            true if self.decisions >= MANY => sent + SPACING_MIN,
            true => sent + self.settings.spacing,
            false => sent + HEARTBEAT,
        }
    }

    pub(super) fn has_flight(&self) -> bool {
        self.flight.is_some()
    }

    /// The batch that is given up by now, if one is.
    pub(super) fn overdue(&mut self, now: Tick) -> Option<Flight> {
        self.flight.take_if(|flight| flight.deadline <= now)
    }

    /// The number of the next batch.
    pub(super) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Sends a batch under the number that was given out last.
    pub(super) fn send(&mut self, now: Tick, draft: Draft) -> Arc<Batch> {
        let batch = Arc::new(Batch {
            node: self.node,
            number: self.number,
            hold: self.settings.timeout,
            lease: self.settings.lease,
            wants: draft.wants,
            claims: draft.claims,
        });
        self.flight = Some(Flight {
            batch: batch.clone(),
            places: draft.places,
            claimed: draft.claimed,
            sent: now,
            deadline: now + self.settings.timeout,
        });
        (self.sent, self.decisions) = (Some(now), 0);
        batch
    }

    /// The batch of that number, if it is still waited for.
    pub(super) fn landed(&mut self, number: u64) -> Option<Flight> {
        self.flight.take_if(|flight| flight.batch.number == number)
    }

    /// The store answered, and named so many nodes.
    ///
    /// More count at once, fewer only when it has named fewer for as long as it remembers a node: a
    /// store that has just started again has not heard of everybody yet, and a node that believed
    /// it would take too large a share if the store went away again.
    pub(super) fn is_well(&mut self, now: Tick, nodes: u32) {
        self.away = None;
        let nodes = nodes.max(1);
        if nodes >= self.nodes {
            (self.nodes, self.fewer) = (nodes, None);
            return;
        }
        let (since, most) = *self.fewer.get_or_insert((now, 1));
        let most = most.max(nodes);
        self.fewer = Some((since, most));
        if now - since >= Batch::NODE_LIFE {
            (self.nodes, self.fewer) = (most, None);
        }
    }

    /// The store did not answer, or not as it should.
    pub(super) fn is_ill(&mut self, now: Tick) {
        self.fewer = None;
        let pause = match self.away {
            Some(away) => (away.pause * 2).min(PAUSE_MAX),
            None => PAUSE_MIN,
        };
        let probe_at = now + pause;
        self.away = Some(Away { probe_at, pause });
    }
}

const HEARTBEAT: Duration = Duration::from_secs(1);
/// After so many decisions a batch leaves before its time.
const MANY: u64 = 64;
const PAUSE_MAX: Duration = Duration::from_secs(1);
const PAUSE_MIN: Duration = Duration::from_millis(50);
const SPACING_MIN: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_nodes_count_when_the_store_has_named_fewer_for_as_long_as_it_remembers_one() {
        let at = |seconds| Tick::ZERO + Duration::from_secs(seconds);
        let mut link = Link::new(7, Settings::default());
        link.is_well(at(0), 3);
        assert_eq!(link.nodes, 3, "more count at once");
        link.is_well(at(1), 1);
        link.is_well(at(2), 2);
        link.is_well(at(5), 1);
        assert_eq!(link.nodes, 3);
        link.is_well(at(6), 1);
        assert_eq!(link.nodes, 2, "the most that it named since");
    }

    #[test]
    fn a_store_that_starts_again_and_dies_again_does_not_make_shares_larger() {
        let at = |seconds| Tick::ZERO + Duration::from_secs(seconds);
        let mut link = Link::new(7, Settings::default());
        link.is_well(at(0), 3);
        for second in 1..30 {
            // It has heard of nobody else yet.
            link.is_well(at(second), 1);
            link.is_ill(at(second));
            assert_eq!(link.nodes, 3);
        }
    }
}
