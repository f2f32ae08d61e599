//! An outage: the store is taken away under load and brought back, and what that may cost.

use std::time::Duration;

use super::{
    Cluster, LIMIT,
    load::{Answer, Load, admitted},
};

/// A time when the store was away for some nodes, by the clock of the load.
pub(super) struct Outage {
    /// Before it began.
    begun: Duration,
    /// From when to when it was certainly away for all of them.
    away: (Duration, Duration),
    /// When it was certainly over.
    ended: Duration,
    /// Batches that had failed when it was over.
    failures: u64,
}

impl Outage {
    /// Lets the load press, takes the store away from `nodes`, brings it back, and lets it press.
    pub(super) fn pass(
        cluster: &Cluster,
        load: &Load,
        nodes: &[usize],
        take_away: impl FnOnce(),
        bring_back: impl FnOnce(),
    ) -> Self {
        load.admits(450);
        let before = cluster.sum(|status| status.failures);
        let begun = load.elapsed();
        take_away();
        cluster.until_away(nodes, true);
        let away = load.elapsed();
        load.admits(450);
        let away = (away, load.elapsed());
        for node in nodes {
            let status = cluster.status(*node);
            assert!(status.alone > 0, "node {node} decided nothing: {status:?}");
        }
        bring_back();
        cluster.until_away(&[0, 1, 2], false);
        let ended = load.elapsed();
        let failures = cluster.sum(|status| status.failures);
        load.admits(450);
        Self {
            // A machine so slow that batches failed before was away then, too.
            begun: if before == 0 { begun } else { Duration::ZERO },
            away,
            ended,
            failures,
        }
    }

    /// What these nodes may have admitted beyond the limit, each by its share, and `bursts` whole
    /// bursts.
    pub(super) fn allows(
        &self,
        cluster: &Cluster,
        answers: &[Answer],
        nodes: u64,
        bursts: u64,
    ) -> u64 {
        let is_over = cluster.sum(|status| status.failures) == self.failures;
        let last = answers.iter().map(|answer| answer.answered).max().unwrap();
        let ended = if is_over { self.ended } else { last };
        let nodes = if self.begun > Duration::ZERO && is_over {
            nodes
        } else {
            3
        };
        LIMIT.units(ended - self.begun) * nodes / 3 + bursts * LIMIT.burst
    }

    /// Those who were sent after the store came back.
    pub(super) fn later(&self, answers: &[Answer]) -> Vec<Answer> {
        let later = |answer: &&Answer| answer.sent >= self.away.1;
        answers.iter().filter(later).copied().collect()
    }

    /// What these may go beyond the limit when it came back empty: a burst, and shares until all
    /// nodes had noticed. Not known where batches failed later.
    pub(super) fn allows_later(&self, cluster: &Cluster) -> Option<u64> {
        let is_over = cluster.sum(|status| status.failures) == self.failures;
        is_over.then(|| LIMIT.units(self.ended - self.away.1))
    }

    /// Those who were sent and answered while the store was away for sure.
    pub(super) fn meanwhile(&self, answers: &[Answer]) -> Vec<Answer> {
        let (from, to) = self.away;
        let within = |answer: &&Answer| answer.sent >= from && answer.answered <= to;
        answers.iter().filter(within).copied().collect()
    }

    /// Fails if one of `nodes` went beyond its share of the limit while the store was away. What it
    /// still had on lease it may use.
    pub(super) fn keeps_each_to_its_share(&self, answers: &[Answer], nodes: &[usize]) {
        let meanwhile = self.meanwhile(answers);
        for node in nodes {
            let own = meanwhile.iter().filter(|answer| answer.node == *node);
            let admitted = admitted(own);
            let beyond = LIMIT.part(3).beyond(&admitted);
            eprintln!(
                "node {node} away: {} admitted, {beyond} beyond",
                admitted.len()
            );
            assert!(beyond <= LEASED, "node {node}: {beyond} beyond its share");
        }
    }
}

/// Out on leases, at most, of a token bucket: what nodes may still use when the store goes away.
const LEASED: u64 = LIMIT.burst / 8;
