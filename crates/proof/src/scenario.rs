//! The storm in three phases: calm, the storm without walls, the storm with them, all with the same load of everyone else.
//!
//! The calm phase has the walls up: it is the ordinary day that the guarded storm is held against. Between two phases
//! the shop comes to rest, so that no phase pays for the one before it, and connections are warmed up uncounted.

#![expect(
    clippy::disallowed_methods,
    reason = "measuring is this room's purpose: it reads the clock at its edge"
)]

mod progress;

pub use progress::{Progress, Stage, Step};

use crate::load::{self, Load, Run, Stream};
use crate::report::{FloodedSeats, Named, PhaseReport, Report};
use crate::{Class, Error, FrontDoor, Service, Shop, Tenant, Walls};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant};

/// How long the shop may take to come to rest between two phases.
const REST_MAX: Duration = Duration::from_secs(10);
const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// A phase of the scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Nobody storms; the walls are up.
    Calm,
    /// The noisy tenant storms; the walls are out.
    StormUnguarded,
    /// The noisy tenant storms; the walls are up.
    StormGuarded,
}

impl Phase {
    /// The phases in their order.
    pub const ALL: [Self; 3] = [Self::Calm, Self::StormUnguarded, Self::StormGuarded];

    /// The name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calm => "calm",
            Self::StormUnguarded => "storm-unguarded",
            Self::StormGuarded => "storm-guarded",
        }
    }

    /// Whether the compartments stand in this phase.
    #[must_use]
    pub const fn walls(self) -> Walls {
        match self {
            Self::Calm | Self::StormGuarded => Walls::Up,
            Self::StormUnguarded => Walls::Out,
        }
    }

    const fn storms(self) -> bool {
        !matches!(self, Self::Calm)
    }
}

impl Named for Phase {
    fn title(self) -> &'static str {
        match self {
            Self::Calm => "Calm",
            Self::StormUnguarded => "Storm, walls out",
            Self::StormGuarded => "Storm, walls up",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The scenario and its measures; [`Scenario::default`] is the one of the demo, done within 40 seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Fixes the intended time of every request.
    pub seed: u64,
    /// How long each phase is measured.
    pub phase_length: Duration,
    /// What a client waits for an answer; then the request has failed.
    pub timeout: Duration,
    /// How many times its share the noisy tenant sends to the flooded services in a storm.
    pub noise: f64,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            seed: 20,
            phase_length: Duration::from_secs(11),
            timeout: load::TIMEOUT,
            noise: 100.0,
        }
    }
}

impl Scenario {
    /// Who sends what in the phase.
    #[must_use]
    pub fn streams(&self, phase: Phase) -> Vec<Stream> {
        Tenant::ALL
            .into_iter()
            .flat_map(|tenant| Service::ALL.map(|service| (tenant, service)))
            .map(|(tenant, service)| Stream {
                tenant: tenant.name.to_owned(),
                class: tenant.class,
                service: service.name().to_owned(),
                tier: service.tier(),
                path: service.routes()[0].to_owned(),
                rate_per_s: share_per_s(service) * self.factor(phase, tenant, service),
                body_bytes: 0,
            })
            .collect()
    }

    fn factor(&self, phase: Phase, tenant: Tenant, service: Service) -> f64 {
        let floods = tenant.class == Class::Noisy && Service::FLOODED.contains(&service);
        if phase.storms() && floods {
            self.noise
        } else {
            1.0
        }
    }

    /// Runs all phases against the shop behind the door.
    ///
    /// # Errors
    /// When the walls could not be changed, the load not be run, or the shop did not come to rest.
    pub async fn run(
        &self,
        shop: &Shop,
        door: &impl FrontDoor,
        progress: &impl Progress,
    ) -> Result<Report, Error> {
        let mut phases = Vec::with_capacity(Phase::ALL.len());
        for phase in Phase::ALL {
            phases.push(self.run_phase(phase, shop, door, progress).await?);
        }
        Ok(Report { phases })
    }

    async fn run_phase(
        &self,
        phase: Phase,
        shop: &Shop,
        door: &impl FrontDoor,
        progress: &impl Progress,
    ) -> Result<PhaseReport, Error> {
        progress.at(Step {
            phase,
            stage: Stage::Preparing,
        });
        door.set_walls(phase.walls()).await?;
        rest(shop).await?;
        let since = Instant::now();
        let load = Load::new(
            door.address(),
            self.streams(phase),
            self.seed,
            self.phase_length,
        );
        let mut run = Load {
            timeout: self.timeout,
            ..load
        }
        .start()?;
        let flooded = self.flooded_seats(phase, &mut run, door, progress).await?;
        progress.at(Step {
            phase,
            stage: Stage::Settling,
        });
        let measured = run.measured().await?;
        Ok(PhaseReport {
            alerts: alerts(door, since),
            ..PhaseReport::new(phase, &measured, flooded)
        })
    }

    /// Follows the phase to the end of its length, and says how busy the seats of the flooded services were meanwhile.
    async fn flooded_seats(
        &self,
        phase: Phase,
        run: &mut Run,
        door: &impl FrontDoor,
        progress: &impl Progress,
    ) -> Result<Option<FloodedSeats>, Error> {
        let flooded = Service::FLOODED.map(Service::name);
        let used_s = || {
            flooded
                .iter()
                .map(|service| door.seat_seconds(service))
                .sum::<f64>()
        };
        let began = run.began().await?;
        let (from, used_before_s) = (Instant::now(), used_s());
        let end = began + self.phase_length;
        loop {
            let done = began.elapsed().min(self.phase_length);
            progress.at(Step {
                phase,
                stage: Stage::Measuring {
                    done,
                    of: self.phase_length,
                },
            });
            if done == self.phase_length {
                break;
            }
            let next = (Instant::now() + PROGRESS_EVERY).min(end);
            tokio::time::sleep_until(next.into()).await;
        }
        let (length_s, used_s) = (from.elapsed().as_secs_f64(), used_s() - used_before_s);
        let seats = door.seats_open(&flooded);
        // Without walls the services have no seats of their own, and no share of them that could be busy.
        let walled = phase.walls() == Walls::Up && seats > 0;
        Ok(walled.then_some(FloodedSeats {
            seats,
            used_seat_s: used_s,
            length_s,
        }))
    }
}

/// Requests per second that every tenant sends to the service on an ordinary day.
pub(crate) const fn share_per_s(service: Service) -> f64 {
    match service {
        Service::Login => 2.0,
        Service::Checkout | Service::Inventory => 4.0,
        Service::Reporting => 6.0,
        Service::Recommendations => 14.0,
    }
}

/// What the door told since then, the earliest first.
fn alerts(door: &impl FrontDoor, since: Instant) -> Vec<String> {
    let mut alerts = door.alerts();
    alerts.retain(|alert| alert.began >= since);
    alerts.sort_by_key(|alert| alert.began);
    alerts.into_iter().map(|alert| alert.says).collect()
}

async fn rest(shop: &Shop) -> Result<(), Error> {
    let rested = tokio::time::timeout(REST_MAX, shop.wait_until_idle()).await;
    rested.map_err(|_| {
        let statistics = shop.database().statistics();
        let (in_use, waiting) = (statistics.in_use, statistics.waiting);
        Error::StillBusy {
            waited: REST_MAX,
            in_use,
            waiting,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate_per_s(phase: Phase, keep: impl Fn(&Stream) -> bool) -> f64 {
        let streams = Scenario::default().streams(phase);
        streams
            .iter()
            .filter(|stream| keep(stream))
            .map(|stream| stream.rate_per_s)
            .sum()
    }

    #[test]
    fn the_noisy_tenant_sends_a_hundred_times_its_share_on_two_services() {
        let noisy = |service: &'static str| {
            move |stream: &Stream| stream.class == Class::Noisy && stream.service == service
        };
        for storm in [Phase::StormUnguarded, Phase::StormGuarded] {
            for (service, storming) in [
                ("recommendations", 1_400.0),
                ("reporting", 600.0),
                ("checkout", 4.0),
            ] {
                let rate = rate_per_s(storm, noisy(service));
                assert!((rate - storming).abs() < 1e-9, "{service} {rate}");
            }
        }
        let share = |stream: &Stream| stream.class == Class::Noisy && stream.tier == 3;
        assert!((rate_per_s(Phase::Calm, share) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn everyone_else_sends_the_same_in_all_phases() {
        let scenario = Scenario::default();
        let others = |phase| {
            let streams = scenario.streams(phase);
            let schedule = load::schedule(&streams, scenario.seed, scenario.phase_length);
            let keep = schedule
                .into_iter()
                .filter(move |arrival| streams[arrival.stream].class != Class::Noisy);
            keep.collect::<Vec<_>>()
        };
        let calm = others(Phase::Calm);
        assert!(!calm.is_empty());
        assert_eq!(calm, others(Phase::StormUnguarded));
        assert_eq!(calm, others(Phase::StormGuarded));
    }
}
