//! The run: before, during, after; renewing what was injected, and watching the guard meanwhile.

#![expect(
    clippy::disallowed_methods,
    reason = "measuring is this room's purpose: it reads the clock at its edge"
)]

use super::Name;
use super::guard::Aborted;
use super::hoard::Standing;
use super::{FaultHits, Phase, Pressure, Seats, Spec, Step, Target};
use crate::Error;
use crate::load::{self, Load, Run};
use crate::report::{FloodedSeats, PhaseReport, Report};
use crate::scenario::Stage;
use std::future::Future;
use std::time::{Duration, Instant};

/// How often a running drill looks at its guard and tells where it is.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often a fault's lease of 5 s is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(1);
/// The success of tier 1 before the drill below which nothing can be learned, in percent.
const WELL_PCT: f64 = 90.0;

/// How long a drill measures, and what its load is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// How long each of the three phases is.
    pub phase_length: Duration,
    /// What a client waits for an answer.
    pub timeout: Duration,
    /// Fixes the intended time of every request.
    pub seed: u64,
}

impl Default for Timing {
    /// Done within 45 seconds.
    fn default() -> Self {
        Self {
            phase_length: Duration::from_secs(11),
            timeout: load::TIMEOUT,
            seed: 20,
        }
    }
}

/// What a drill measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// The phases.
    pub report: Report<Phase>,
    /// What leaned on the walls.
    pub pressure: Pressure,
    /// Whether it was cut short.
    pub aborted: Option<Aborted>,
}

/// Runs the scenario. Whoever drops it, or has it fail, still has to tell the target to restore what was injected.
///
/// # Errors
/// When the load cannot be run, the target does not do what it is told, or tier 1 was not well to begin with.
pub async fn run(
    spec: &Spec,
    timing: Timing,
    target: &(impl Target + Sync),
    told: &(dyn Fn(Step) + Sync),
) -> Result<Findings, Error> {
    let drill = Drill {
        spec,
        timing,
        target,
        told,
    };
    let before = drill.ordinary(Phase::Before).await?;
    let well = before.tiers.get(&1).map_or(0.0, |tier| tier.success_pct);
    if well < WELL_PCT {
        let answers = before.ends_of_tier_one();
        return Err(Error::Unwell {
            success_pct: well,
            answers,
            late_ms: before.late_ms,
        });
    }
    let (during, pressure, aborted) = drill.during().await?;
    let after = drill.ordinary(Phase::After).await?;
    Ok(Findings {
        report: Report {
            phases: vec![before, during, after],
        },
        pressure,
        aborted,
    })
}

struct Drill<'a, T> {
    spec: &'a Spec,
    timing: Timing,
    target: &'a T,
    told: &'a (dyn Fn(Step) + Sync),
}

/// A storm of which nothing more is sent.
struct Storm {
    run: Run,
    hoard: Option<Standing>,
    flooded: Option<FloodedSeats>,
    aborted: Option<Aborted>,
}

impl<T: Target + Sync> Drill<'_, T> {
    async fn ordinary(&self, phase: Phase) -> Result<PhaseReport<Phase>, Error> {
        self.tell(phase, Stage::Preparing);
        self.target.rest().await?;
        let mut run = self.start(phase)?;
        let began = run.began().await?;
        self.follow(phase, began, || false).await;
        self.tell(phase, Stage::Settling);
        Ok(PhaseReport::new(phase, &run.measured().await?, None))
    }

    async fn during(&self) -> Result<(PhaseReport<Phase>, Pressure, Option<Aborted>), Error> {
        self.tell(Phase::During, Stage::Preparing);
        self.target.rest().await?;
        let mut ids = Vec::with_capacity(self.spec.faults.len());
        for fault in &self.spec.faults {
            ids.push(self.target.inject(fault).await?);
        }
        let storm = self.renewing(&ids, self.storm()).await?;
        let Storm {
            run,
            hoard,
            flooded,
            aborted,
        } = storm;
        self.tell(Phase::During, Stage::Settling);
        let (measured, pressure) = if aborted.is_some() {
            // Nothing leans on the node any more from here on, so nothing is renewed, either.
            let pressure = self.end(&ids, hoard).await?;
            (run.measured().await?, pressure)
        } else {
            let measured = self.renewing(&ids, run.measured()).await?;
            (measured, self.end(&ids, hoard).await?)
        };
        let phase = PhaseReport::new(Phase::During, &measured, flooded);
        Ok((phase, pressure, aborted))
    }

    /// The storm from its first request to its last, or until the guard trips.
    async fn storm(&self) -> Result<Storm, Error> {
        let mut hoard = None;
        if let Some(wanted) = &self.spec.hoard {
            let standing = wanted.start(self.target.address())?;
            hoard.insert(standing).stands().await;
        }
        let mut run = self.start(Phase::During)?;
        let began = run.began().await?;
        let (from, first) = (Instant::now(), self.seats().await?);
        let mut aborted = None;
        self.follow(Phase::During, began, || {
            aborted = self.trips(&run, began);
            aborted.is_some()
        })
        .await;
        if aborted.is_some() {
            run.stop();
        }
        let (length_s, last) = (from.elapsed().as_secs_f64(), self.seats().await?);
        let flooded = (last.seats > 0).then(|| FloodedSeats {
            seats: last.seats,
            used_seat_s: round(last.used_seat_s - first.used_seat_s),
            length_s: round(length_s),
        });
        Ok(Storm {
            run,
            hoard,
            flooded,
            aborted,
        })
    }

    /// Takes back what leans on the node, and says what it did.
    async fn end(&self, ids: &[u64], hoard: Option<Standing>) -> Result<Pressure, Error> {
        let hoarded = hoard.map(|hoard| hoard.so_far());
        let mut faults = Vec::with_capacity(ids.len());
        for (fault, id) in self.spec.faults.iter().zip(ids) {
            let hits = self.target.renew(*id).await?;
            faults.push(FaultHits {
                fault: fault.clone(),
                hits: hits.ok_or_else(|| gone(*id))?,
            });
        }
        self.target.restore().await?;
        Ok(Pressure {
            faults,
            hoarded,
            sending_is_enough: self.spec.name == Name::LargeBodies,
        })
    }

    /// Waits for it, and renews the leases meanwhile. A lease that is lost ends it.
    async fn renewing<R>(
        &self,
        ids: &[u64],
        of: impl Future<Output = Result<R, Error>>,
    ) -> Result<R, Error> {
        tokio::select! {
            biased;
            done = of => done,
            lost = self.keep_alive(ids) => Err(lost),
        }
    }

    /// Renews the leases for as long as it is waited for. Ends only with what went wrong.
    async fn keep_alive(&self, ids: &[u64]) -> Error {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            for id in ids {
                match self.target.renew(*id).await {
                    Ok(Some(_)) => {}
                    Ok(None) => return gone(*id),
                    Err(error) => return error,
                }
            }
        }
    }

    fn trips(&self, run: &Run, began: Instant) -> Option<Aborted> {
        let guard = self.spec.guard?;
        let beat = run
            .pulse()
            .within(Instant::now(), Duration::from_secs(guard.window_s));
        guard
            .trips(beat)
            .then(|| Aborted::at(began.elapsed().as_secs_f64(), beat))
    }

    fn start(&self, phase: Phase) -> Result<Run, Error> {
        let Timing {
            phase_length,
            timeout,
            seed,
        } = self.timing;
        let streams = self.spec.streams(phase);
        let load = Load::new(self.target.address(), streams, seed, phase_length);
        Load { timeout, ..load }.start()
    }

    /// Tells where the phase is until its end, or until it is to be ended.
    async fn follow(&self, phase: Phase, began: Instant, mut is_over: impl FnMut() -> bool) {
        let of = self.timing.phase_length;
        loop {
            let done = began.elapsed().min(of);
            self.tell(phase, Stage::Measuring { done, of });
            if done == of || is_over() {
                return;
            }
            let next = (Instant::now() + LOOK_EVERY).min(began + of);
            tokio::time::sleep_until(next.into()).await;
        }
    }

    async fn seats(&self) -> Result<Seats, Error> {
        self.target.seats(&self.spec.flooded).await
    }

    fn tell(&self, phase: Phase, stage: Stage) {
        (self.told)(Step { phase, stage });
    }
}

fn gone(id: u64) -> Error {
    Error::FaultGone { id }
}

/// To the millisecond: a figure is made of what the report shows.
fn round(seconds: f64) -> f64 {
    (seconds * 1e3).round() / 1e3
}

#[cfg(test)]
mod tests;
