//! What a run says, in a handful of numbers.

use std::time::Duration;

use watertight_benches::jain;
use watertight_proof::load::Latencies;

use crate::{
    case::{CALM, Role},
    run::Run,
    slots::SLOTS,
};

/// Of one run. None where the case has no such thing.
#[derive(Clone, Copy)]
pub(crate) struct Figures {
    /// The victims' 99th percentile, by that of the calm run of the same round.
    pub(crate) ratio: Option<f64>,
    /// Of the victims' requests, those that were answered well, in percent.
    pub(crate) success: Option<f64>,
    /// Work done, of what the backend could do, in percent.
    pub(crate) used: Option<f64>,
    /// Of service time among floods.
    pub(crate) jain: Option<f64>,
    /// Of the honest tenant's requests, those that were answered well, in percent.
    pub(crate) honest: Option<f64>,
    /// CPU time of the proxies for each request that was to be sent, in microseconds.
    pub(crate) cpu_us: Option<f64>,
}

impl Figures {
    /// Those of a run, all of the runs given.
    pub(crate) fn new(run: &Run, all: &[Run]) -> Self {
        let is_calm = |other: &&Run| {
            (&other.set_up, other.round, other.case.as_str()) == (&run.set_up, run.round, CALM.name)
        };
        let calm = all.iter().find(is_calm).and_then(Run::p99_ms);
        let asked: u64 = run.tenants.iter().map(|tenant| tenant.asked).sum();
        let work_s = run.tenants.iter().map(|tenant| tenant.work_s).sum::<f64>();
        let floods = run
            .tenants
            .iter()
            .filter(|tenant| tenant.role == Role::Flood);
        let shares: Vec<f64> = floods.map(|tenant| tenant.work_s).collect();
        Self {
            ratio: run.p99_ms().zip(calm).map(|(storm, calm)| storm / calm),
            success: run.success(Role::Victim),
            used: Some(work_s / (SLOTS as f64 * run.window_s) * 100.0),
            jain: (shares.len() > 1).then(|| jain(&shares)),
            honest: run.success(Role::Honest),
            cpu_us: run.cpu_ns.map(|ns| ns / 1e3 / asked as f64),
        }
    }
}

impl Run {
    /// The victims' 99th percentile, in milliseconds.
    pub(crate) fn p99_ms(&self) -> Option<f64> {
        let latencies = self.victims_us.iter().map(|us| Duration::from_micros(*us));
        let p99 = latencies.collect::<Latencies>().percentile(99)?;
        Some(p99.as_secs_f64() * 1e3)
    }

    fn success(&self, role: Role) -> Option<f64> {
        let of_role = self.tenants.iter().filter(|tenant| tenant.role == role);
        let (answered, asked) = of_role.fold((0, 0), |(answered, asked), tenant| {
            (answered + tenant.answered, asked + tenant.asked)
        });
        (asked > 0).then(|| answered as f64 / asked as f64 * 100.0)
    }
}
