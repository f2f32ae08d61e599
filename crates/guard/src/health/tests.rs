//! The laws of health, and how it behaves with a server that has a load.

use std::time::Duration;

use watertight_base::{Percent, Tick, Tier};

use super::{Condition, Controller, Kind, Scope, Settings, Signal, combined};
use crate::Error;

mod behaviour;
mod laws;
mod plant;
mod words;

const SECOND: Duration = Duration::from_secs(1);

const LAGGING: Signal = Signal::LoopLag(Duration::from_millis(240));
const STRAINED: Signal = Signal::LoopLag(Duration::from_millis(70));
const PROMPT: Signal = Signal::LoopLag(Duration::from_millis(1));

fn at(seconds: u64) -> Tick {
    Tick::ZERO + SECOND * u32::try_from(seconds).unwrap()
}

fn percent(number: f64) -> Percent {
    Percent::try_from(number).unwrap()
}

fn millis(number: u64) -> Signal {
    Signal::Latency(Duration::from_millis(number))
}

fn node() -> Controller {
    Controller::new(Tick::ZERO, Scope::Node, Settings::default()).unwrap()
}

fn database() -> Controller {
    let scope = Scope::Pool("database".parse().unwrap());
    Controller::new(Tick::ZERO, scope, Settings::default()).unwrap()
}

fn shares(controller: &Controller) -> [f64; 3] {
    Tier::ALL.map(|tier| controller.share(tier).get())
}

/// Runs as many intervals, with one set of samples in each.
fn run(controller: &mut Controller, intervals: u32, signals: &[Signal]) {
    for _ in 0..intervals {
        let now = controller.next_wakeup();
        for signal in signals {
            controller.on_sample(now, *signal);
        }
        controller.on_interval(now);
    }
}
