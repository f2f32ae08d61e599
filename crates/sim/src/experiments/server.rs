//! A model of what is behind the front door: workers, and one line in front of them.
//!
//! Who comes is served in order of arrival by whichever worker is free first. A client that has
//! given up is served all the same, as most servers do.

use std::{collections::VecDeque, time::Duration};

use fastrand::Rng;
use watertight_base::Tick;

#[derive(Debug)]
pub(super) struct Server {
    /// When each worker is free again.
    free: Vec<Tick>,
    /// When those in line will begin to be served.
    starts: VecDeque<Tick>,
    line: usize,
    service_us: u64,
}

impl Server {
    /// A server of so many workers, with so many places in line. A request takes half to one and a
    /// half times `service`.
    pub(super) fn new(workers: usize, line: usize, service: Duration) -> Self {
        Self {
            free: vec![Tick::ZERO; workers.max(1)],
            starts: VecDeque::new(),
            line,
            service_us: u64::try_from(service.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// From now on it has so many workers; those that leave finish what they were given.
    pub(super) fn set_workers(&mut self, now: Tick, workers: usize) {
        self.free.sort_unstable();
        self.free.reverse();
        self.free.resize(workers.max(1), now);
    }

    /// When the request that comes now is answered. None: the line is full.
    pub(super) fn serve(&mut self, now: Tick, rng: &mut Rng) -> Option<Tick> {
        while self.starts.front().is_some_and(|start| *start <= now) {
            self.starts.pop_front();
        }
        // Drawn in any case, so that a refusal does not shift what comes after.
        let takes = rng.u64(self.service_us / 2..=self.service_us / 2 * 3);
        let first = self.free.iter_mut().min()?;
        let start = now.max(*first);
        if start > now {
            if self.starts.len() >= self.line {
                return None;
            }
            self.starts.push_back(start);
        }
        *first = start + Duration::from_micros(takes);
        Some(*first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chance::stream,
        experiments::load::{SECOND, arrivals},
    };

    fn answered(server: &mut Server, per_second: u64) -> Vec<Duration> {
        let mut rng = stream(1, "test", 0);
        let came = arrivals(&mut rng, 10 * SECOND, |_| per_second);
        let ends = came
            .iter()
            .filter_map(|now| Some(server.serve(*now, &mut rng)? - *now));
        ends.collect()
    }

    #[test]
    fn below_its_capacity_a_server_is_quick_and_above_it_the_line_is_full() {
        let mut server = Server::new(10, 100, Duration::from_millis(100));
        let calm = answered(&mut server, 50);
        assert!(calm.iter().all(|took| *took < Duration::from_millis(300)));
        let mut server = Server::new(10, 100, Duration::from_millis(100));
        let storm = answered(&mut server, 300);
        assert!((1_000..1_150).contains(&storm.len()), "{}", storm.len());
        assert!(storm.last().is_some_and(|took| *took > SECOND));
    }
}
