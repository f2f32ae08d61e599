//! One node: its last beat, and what it is held to be.

use std::time::Duration;

use watertight_base::{NodeId, Tick};

use super::{Arrival, MonitorSpec, NodeView, Notice, Remembered, damping::Damping};
use crate::{Beat, Detector, Error, Life, Metadata, Rule};

#[derive(Debug)]
pub(super) struct Node {
    id: NodeId,
    detector: Detector,
    last: Tick,
    interval: Duration,
    generation: u64,
    sequence: u64,
    life: Life,
    since: Tick,
    /// Beats since it was held for dead.
    recovered: u32,
    damping: Damping,
    /// When it is looked at next.
    look: Tick,
    metadata: Box<[u8]>,
}

impl Node {
    /// Alive by the beat that comes; the beat itself is counted after.
    pub(super) fn new(now: Tick, rule: Rule, arrival: &Arrival<'_>) -> Result<Self, Error> {
        Ok(Self {
            id: arrival.id.clone(),
            detector: Detector::new(rule)?,
            last: now,
            interval: Duration::ZERO,
            generation: arrival.generation,
            sequence: 0,
            life: Life::Alive,
            since: now,
            recovered: 0,
            damping: Damping::default(),
            look: Tick::MAX,
            metadata: Box::default(),
        })
    }

    pub(super) fn restored(now: Tick, rule: Rule, from: Remembered) -> Result<Self, Error> {
        let nanos = u64::try_from(from.age.as_nanos()).unwrap_or(u64::MAX);
        let last = Tick::from_nanos(now.as_nanos().saturating_sub(nanos));
        let mut detector = Detector::new(rule)?;
        let beat = Beat {
            sequence: from.sequence,
            interval: from.interval,
        };
        detector.on_beat(last, beat);
        Ok(Self {
            id: from.id,
            detector,
            last,
            interval: from.interval,
            generation: from.generation,
            sequence: from.sequence,
            life: from.life,
            since: last,
            recovered: 0,
            damping: Damping::default(),
            look: Tick::MAX,
            metadata: from.metadata,
        })
    }

    /// Counts a beat of its generation or a newer one, and says when its next one comes; none if it
    /// tells nothing new.
    pub(super) fn on_beat(
        &mut self,
        now: Tick,
        arrival: &Arrival<'_>,
        spec: &MonitorSpec,
        notices: &mut Vec<Notice>,
    ) -> Option<Duration> {
        let is_restarted = arrival.generation > self.generation;
        let interval = arrival.interval.unwrap_or(spec.interval);
        let sequence = arrival.sequence.unwrap_or(self.sequence + 1);
        if is_restarted {
            // Its numbers begin again, and its old rhythm tells nothing of the new one.
            self.detector = Detector::new(spec.rule).ok()?;
            self.generation = arrival.generation;
            let (id, generation) = (self.id.clone(), self.generation);
            notices.push(Notice::Restarted { id, generation });
        }
        if !self.detector.on_beat(now, Beat { sequence, interval }) {
            return None;
        }
        (self.last, self.interval, self.sequence) = (now, interval, sequence);
        if let Some(metadata) = arrival.metadata
            && *self.metadata != *metadata
        {
            self.metadata = metadata.into();
        }
        self.recovered += 1;
        let is_steady = !self.damping.is_damped(now, spec.flaps);
        match self.life {
            Life::Suspected if is_steady => self.set_life(now, Life::Alive, notices),
            Life::Dead | Life::Left if is_restarted || self.recovered >= spec.recovery => {
                let life = match is_steady {
                    true => Life::Alive,
                    false => Life::Suspected,
                };
                self.set_life(now, life, notices);
            }
            _ => {}
        }
        Some(interval)
    }

    /// It has been silent until now. Death is for when a majority `agreed`.
    pub(super) fn on_silence(
        &mut self,
        now: Tick,
        spec: &MonitorSpec,
        agreed: bool,
        notices: &mut Vec<Notice>,
    ) {
        if self.life == Life::Alive && now >= self.detector.suspects_at() {
            self.set_life(now, Life::Suspected, notices);
        }
        if self.life == Life::Suspected && now >= self.dies_at(spec) && agreed {
            self.damping.on_death(now);
            self.set_life(now, Life::Dead, notices);
        }
    }

    pub(super) fn set_life(&mut self, now: Tick, life: Life, notices: &mut Vec<Notice>) {
        if self.life == life {
            return;
        }
        notices.push(Notice::Life {
            id: self.id.clone(),
            from: Some(self.life),
            to: life,
        });
        (self.life, self.since) = (life, now);
        self.recovered = 0;
    }

    /// When silence, if it lasts, makes it another.
    pub(super) fn due(&self, spec: &MonitorSpec) -> Tick {
        match self.life {
            Life::Alive => self.detector.suspects_at(),
            Life::Suspected => self.dies_at(spec),
            Life::Dead | Life::Left => self.since + spec.forget_after,
        }
    }

    pub(super) fn is_forgotten(&self, now: Tick, spec: &MonitorSpec) -> bool {
        !self.life.is_present() && now >= self.since + spec.forget_after
    }

    pub(super) fn remember(&self, now: Tick) -> Remembered {
        Remembered {
            id: self.id.clone(),
            age: now - self.last,
            life: self.life,
            generation: self.generation,
            sequence: self.sequence,
            interval: self.interval,
            metadata: self.metadata.clone(),
        }
    }

    pub(super) fn show(&self, now: Tick, spec: &MonitorSpec, missed_by_others: usize) -> NodeView {
        let age = now - self.last;
        let is_missed = matches!(self.life, Life::Suspected | Life::Dead);
        NodeView {
            id: self.id.clone(),
            age,
            is_alive: age < spec.timeout,
            life: self.life,
            since: now - self.since,
            phi: self.detector.phi(now),
            generation: self.generation,
            sequence: self.sequence,
            interval: self.interval,
            is_damped: self.damping.is_damped(now, spec.flaps),
            missed_by: missed_by_others + usize::from(is_missed),
            metadata: Metadata::decode(&self.metadata),
        }
    }

    pub(super) fn id(&self) -> &NodeId {
        &self.id
    }

    pub(super) fn life(&self) -> Life {
        self.life
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    pub(super) fn look(&self) -> Tick {
        self.look
    }

    pub(super) fn set_look(&mut self, look: Tick) {
        self.look = look;
    }

    fn dies_at(&self, spec: &MonitorSpec) -> Tick {
        let patience = self.detector.suspects_at() - self.last;
        self.last + patience.saturating_mul(2).max(spec.timeout)
    }
}
