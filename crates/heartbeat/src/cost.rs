//! What watching costs, and what it promises: arithmetic for whoever plans it.
//!
//! Messages are lost independently of each other with one chance. All else is as the cores do it:
//! a node that beats is suspected after `misses` intervals; a member that does not answer a probe of
//! one interval, nor two direct questions and three helpers, is accused, and dead when it has not
//! denied that for α intervals times log₁₀ of the members.
//!
//! Who watches by beats mistakes `misses` lost beats in a row for silence. Who watches by gossip
//! mistakes nothing for death as long as the accused can make itself heard in the time of a
//! suspicion; what is estimated is how often somebody is accused who is there.

use std::time::Duration;

use crate::Error;

/// Who watches whom.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Topology {
    /// Everybody beats to one monitor.
    Central,
    /// Everybody beats to everybody.
    Mesh,
    /// Everybody probes one other in turn, and tells.
    Gossip,
}

/// What is planned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Watch {
    /// How many nodes. 2 to 1,000,000.
    pub nodes: u32,
    /// Between two beats, or two probes, of a node. 10 ms or longer.
    pub interval: Duration,
    /// Who watches whom.
    pub topology: Topology,
    /// How many beats must be missing. 1 to 100.
    pub misses: u32,
    /// The length of a suspicion, α. 1 to 20.
    pub alpha: u32,
    /// The chance that a message is lost. 0 to less than 1.
    pub loss: f64,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Messages a second, of all nodes.
    pub messages_per_s: f64,
    /// Bytes a second of all nodes, with the headers of UDP and IPv4.
    pub bytes_per_s: f64,
    /// Messages a second that the busiest receives.
    pub busiest_receives_per_s: f64,
    /// From a crash until the first suspects it, on average.
    pub suspected_after: Duration,
    /// From a crash until it is held for dead, on average.
    pub dead_after: Duration,
    /// How often in a day somebody who is there is suspected by somebody.
    pub false_suspicions_per_day: f64,
}

impl Watch {
    /// What the plan comes to.
    ///
    /// # Errors
    /// [`Error::Watch`] names the number that lies outside its range.
    pub fn cost(&self) -> Result<Cost, Error> {
        let wrong = |number, range| Err(Error::Watch { number, range });
        if !(2..=1_000_000).contains(&self.nodes) {
            return wrong("nodes", "2 to 1,000,000");
        }
        if self.interval < Duration::from_millis(10) {
            return wrong("interval", "10 ms or longer");
        }
        if !(1..=100).contains(&self.misses) {
            return wrong("misses", "1 to 100");
        }
        if !(1..=20).contains(&self.alpha) {
            return wrong("alpha", "1 to 20");
        }
        if !(0.0..1.0).contains(&self.loss) {
            return wrong("loss", "0 to less than 1");
        }
        Ok(match self.topology {
            Topology::Central => self.beats(1.0),
            Topology::Mesh => self.beats(f64::from(self.nodes - 1)),
            Topology::Gossip => self.gossip(),
        })
    }

    /// Every node beats to so many watchers.
    fn beats(&self, watchers: f64) -> Cost {
        let nodes = f64::from(self.nodes);
        let a_second = 1.0 / self.interval.as_secs_f64();
        let messages = nodes * watchers * a_second;
        let missing = libm::pow(self.loss, f64::from(self.misses)) * (1.0 - self.loss);
        let patience = self.interval * self.misses;
        // A crash falls into the middle of an interval, on average.
        let late = self.interval / 2;
        Cost {
            messages_per_s: messages,
            bytes_per_s: messages * BEAT_BYTES,
            busiest_receives_per_s: match self.topology {
                Topology::Central => messages,
                Topology::Mesh | Topology::Gossip => messages / nodes,
            },
            suspected_after: patience.saturating_sub(late),
            dead_after: (patience * 2).saturating_sub(late),
            false_suspicions_per_day: messages * DAY_S * missing,
        }
    }

    fn gossip(&self) -> Cost {
        let nodes = f64::from(self.nodes);
        let probes = nodes / self.interval.as_secs_f64();
        let arrives = 1.0 - self.loss;
        let unanswered = 1.0 - arrives * arrives;
        let by_helper = 1.0 - libm::pow(arrives, 4.0);
        // A second question, and three helpers who ask and say what came of it.
        let messages = probes * (2.0 + unanswered * (2.0 + 3.0 * 4.0));
        let accused = unanswered * unanswered * libm::pow(by_helper, 3.0);
        // Somebody's next probe finds it after e / (e - 1) intervals, and takes another.
        let first = self.interval.mul_f64(1.0 / (1.0 - libm::exp(-1.0)) + 0.5);
        let decades = libm::log10(nodes).max(1.0);
        let suspicion = (self.interval * self.alpha).mul_f64(decades);
        Cost {
            messages_per_s: messages,
            bytes_per_s: messages * PROBE_BYTES,
            busiest_receives_per_s: messages / nodes,
            suspected_after: first,
            dead_after: first + suspicion,
            false_suspicions_per_day: probes * DAY_S * accused,
        }
    }
}

/// A beat with a name of 12 letters: 24 bytes, sealed (44), by UDP over IPv4 (28).
const BEAT_BYTES: f64 = 96.0;
/// A question or an answer: 24 bytes on average, sealed (44), by UDP over IPv4 (28).
const PROBE_BYTES: f64 = 96.0;
const DAY_S: f64 = 86_400.0;

#[cfg(test)]
mod tests {
    use super::*;

    const WATCH: Watch = Watch {
        nodes: 1_000,
        interval: Duration::from_millis(500),
        topology: Topology::Central,
        misses: 3,
        alpha: 4,
        loss: 0.0,
    };

    #[test]
    fn a_thousand_nodes_at_half_a_second_are_two_thousand_messages_a_second() {
        let cost = WATCH.cost().unwrap();
        assert!((cost.messages_per_s - 2_000.0).abs() < 1e-9);
        assert!((cost.busiest_receives_per_s - 2_000.0).abs() < 1e-9);
        assert_eq!(cost.suspected_after, Duration::from_millis(1_250));
        let mesh = Watch {
            topology: Topology::Mesh,
            ..WATCH
        };
        let mesh = mesh.cost().unwrap();
        assert!((mesh.messages_per_s - 1_998_000.0).abs() < 1e-6);
        assert!((mesh.busiest_receives_per_s - 1_998.0).abs() < 1e-6);
    }

    #[test]
    fn gossip_costs_each_the_same_in_any_cluster() {
        let each = |nodes| {
            let watch = Watch {
                nodes,
                topology: Topology::Gossip,
                interval: Duration::from_secs(1),
                ..WATCH
            };
            watch.cost().unwrap()
        };
        let (small, large) = (each(128), each(1_000));
        assert!((small.busiest_receives_per_s - 2.0).abs() < 1e-9);
        assert!((large.busiest_receives_per_s - 2.0).abs() < 1e-9);
        // As the simulation finds them: 10 s among 128, 14 s among 1,000.
        assert!(
            (small.dead_after.as_secs_f64() - 10.5).abs() < 0.1,
            "{small:?}"
        );
        assert!(
            (large.dead_after.as_secs_f64() - 14.1).abs() < 0.1,
            "{large:?}"
        );
    }

    #[test]
    fn loss_is_mistaken_for_silence_the_less_the_more_must_be_missing() {
        let false_suspicions = |misses, loss| {
            let watch = Watch {
                misses,
                loss,
                ..WATCH
            };
            watch.cost().unwrap().false_suspicions_per_day
        };
        assert!(false_suspicions(3, 0.0) < f64::EPSILON);
        // 2,000 × 86,400 × 0.01³ × 0.99.
        assert!((false_suspicions(3, 0.01) - 171.072).abs() < 1e-6);
        assert!(false_suspicions(4, 0.01) < false_suspicions(3, 0.01) / 99.0);
    }

    #[test]
    fn numbers_out_of_their_range_are_named() {
        let wrong = [
            ("nodes", Watch { nodes: 1, ..WATCH }),
            (
                "interval",
                Watch {
                    interval: Duration::ZERO,
                    ..WATCH
                },
            ),
            ("misses", Watch { misses: 0, ..WATCH }),
            ("alpha", Watch { alpha: 21, ..WATCH }),
            ("loss", Watch { loss: 1.0, ..WATCH }),
            (
                "loss",
                Watch {
                    loss: f64::NAN,
                    ..WATCH
                },
            ),
        ];
        for (name, watch) in wrong {
            let refused = watch.cost();
            assert!(matches!(refused, Err(Error::Watch { number, .. }) if number == name));
        }
    }
}
