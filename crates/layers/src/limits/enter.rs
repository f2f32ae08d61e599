//! Entering a limit on requests in flight, or waiting in front of it.

use std::{sync::Arc, time::Duration};

use watertight_base::Reason;
use watertight_plan::Excess;

use super::{
    Applied, Asked,
    charge::{Keyed, Refused, Unmet},
    places::{Entry, Presence, Wanted},
};
use crate::Clock;

/// What a limit on requests in flight said.
#[derive(Clone, Copy, Debug)]
pub(super) enum Entered {
    Place {
        has_waited: bool,
    },
    /// There is none left; the service is to do less.
    Less,
    Uncounted,
}

impl Keyed {
    pub(super) async fn enter(
        self: &Arc<Self>,
        (clock, asked): (Clock, &Asked<'_>),
        applied: &Applied,
        is_last: bool,
        presence: &mut Option<Presence>,
    ) -> Result<Entered, Unmet> {
        let rule = &applied.rule;
        let Some(most) = rule.in_flight_max() else {
            return Ok(Entered::Uncounted);
        };
        let counter = self.kept(applied, asked);
        let wanted = Wanted {
            rule,
            line: self.line_key(rule, &counter),
            fewer: self.fewer_in_flight(rule, &counter, most, asked),
            counter,
            most,
            is_last,
        };
        let presence = presence.get_or_insert_with(|| Presence::new(self));
        let mut entry = presence.enter(&wanted, asked);
        let has_waited = entry == Entry::Full;
        if has_waited {
            // On the heap, as few wait and all make room.
            entry = Box::pin(presence.wait(clock, &wanted, asked)).await;
        }
        match entry {
            Entry::Reloaded => Err(Unmet::Reloaded),
            Entry::Held => Ok(Entered::Place { has_waited }),
            Entry::Entered => {
                presence.since = None;
                rule.counts.allowed.inc();
                Ok(Entered::Place { has_waited })
            }
            Entry::Full if rule.limit.is_shadow => {
                rule.counts.shadow_refused.inc();
                Ok(Entered::Uncounted)
            }
            Entry::Full if !rule.binds() => {
                rule.counts.degraded.inc();
                Ok(Entered::Less)
            }
            Entry::Full => {
                let is_share = wanted.fewer.is_some() && self.in_flight(applied, asked) < most;
                if !is_share {
                    rule.count_kept_out(rule.fallback().is_some());
                }
                let terms = &asked.who.lane.terms;
                let applied: Vec<_> = terms.rules(asked.service, asked.path).collect();
                Err(Unmet::Refused(Refused {
                    reason: match is_share {
                        true => Reason::BrownOut,
                        false => Reason::TenantConcurrency,
                    },
                    retry_after: Duration::ZERO,
                    quotas: self.quotas_left(clock.now(), &applied, asked),
                    rule: Arc::clone(rule),
                    fallback: rule.fallback(),
                }))
            }
        }
    }
}

impl Presence {
    /// Waits for a place, if the limit lets wait and as many as may do not wait yet.
    async fn wait(&mut self, clock: Clock, wanted: &Wanted<'_>, asked: &Asked<'_>) -> Entry {
        let rule = wanted.rule;
        let (Excess::Delay { max_wait, .. }, Some(queue)) = (&rule.limit.excess, rule.queue())
        else {
            return Entry::Full;
        };
        let Some((told, is_new)) = self.join(wanted, asked, queue) else {
            return Entry::Full;
        };
        if is_new {
            rule.counts.delayed.inc();
        }
        let since = *self.since.get_or_insert_with(|| clock.now());
        let until = clock.instant((since + *max_wait).min(asked.deadline));
        let often = async {
            loop {
                // Words that come while it asks are kept for it.
                match self.enter(wanted, asked) {
                    Entry::Full => told.notified().await,
                    entry => return entry,
                }
            }
        };
        match tokio::time::timeout_at(until.into(), often).await {
            Ok(entry) => entry,
            Err(_) => {
                self.give_up();
                Entry::Full
            }
        }
    }
}
