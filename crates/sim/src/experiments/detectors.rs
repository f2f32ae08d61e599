//! Four failure detectors on one long, lossy link.
//!
//! A beat every 100 ms; delays log-normal with a mean of 140 ms and a deviation of 10 ms; 0.4 % lost,
//! in bursts of four on average; and 1.1 s of silence each hour. Made up after the link between
//! Japan and Switzerland of the φ accrual paper, whose trace is not public. *Detection* is how long
//! a crash right after a beat goes unnoticed, on average.

use std::time::Duration;

use fastrand::Rng;
use watertight_base::Tick;
use watertight_heartbeat::{Beat, Detector, Quality, Rule, Witness};

use super::{Report, Size};
use crate::chance::stream;
use crate::plot::Chart;

const INTERVAL: Duration = Duration::from_millis(100);
const BEATS_AN_HOUR: u64 = 36_000;
/// Beats that fall into the silence of each hour.
const SILENT: u64 = 11;
const WINDOW: usize = 1_000;

/// A beat that arrives.
#[derive(Clone, Copy, Debug)]
struct Arrival {
    sent: Tick,
    at: Tick,
    sequence: u64,
}

pub(super) fn run(seed: u64, size: Size) -> Report {
    let beats = match size {
        Size::Small => BEATS_AN_HOUR,
        Size::Full => 1_000_000,
    };
    let arrivals = arrivals(seed, beats);
    let mut report = Report::new(seed);
    let mut mistakes = Vec::new();
    for (name, rule) in rules() {
        let quality = judge(rule, &arrivals);
        let detection_ms = quality.detection_time().as_secs_f64() * 1e3;
        mistakes.push(quality.mistakes_per_hour());
        report = report
            .figure(format!("{name}: detection"), detection_ms, "ms")
            .figure(
                format!("{name}: mistakes an hour"),
                quality.mistakes_per_hour(),
                "",
            )
            .figure(
                format!("{name}: a mistake lasts"),
                quality.mistake_duration().as_secs_f64() * 1e3,
                "ms",
            );
    }
    let title = "Mistakes an hour, by rule as listed";
    let length = f64::from(u32::try_from(mistakes.len()).unwrap_or(0));
    report.chart(
        &Chart::new(title, length, "", "/h")
            .size(60, 4)
            .series("", &mistakes),
    )
}

fn rules() -> Vec<(String, Rule)> {
    let margins = [50, 100, 200, 400, 1_200];
    let fixed = margins.map(|ms| {
        let margin = Duration::from_millis(ms);
        (
            format!("time-out 100 + {ms} ms"),
            Rule::Fixed { misses: 1, margin },
        )
    });
    let chen = margins.map(|ms| {
        let margin = Duration::from_millis(ms);
        (
            format!("Chen + {ms} ms"),
            Rule::Chen {
                window: WINDOW,
                margin,
            },
        )
    });
    let phi = [1.0, 2.0, 4.0, 8.0, 16.0].map(|threshold| {
        let rule = Rule::Phi {
            threshold,
            window: WINDOW,
            deviation_min: Duration::from_millis(5),
            pause: Duration::ZERO,
        };
        (format!("φ {threshold}"), rule)
    });
    let bertier = ("Bertier".to_owned(), Rule::Bertier { window: WINDOW });
    fixed
        .into_iter()
        .chain(chen)
        .chain(phi)
        .chain([bertier])
        .collect()
}

fn judge(rule: Rule, arrivals: &[Arrival]) -> Quality {
    let mut witness = Witness::default();
    let Ok(mut detector) = Detector::new(rule) else {
        return witness.quality();
    };
    for arrival in arrivals {
        let beat = Beat {
            sequence: arrival.sequence,
            interval: INTERVAL,
        };
        // What is overtaken tells nothing.
        let mut next = detector.clone();
        if next.on_beat(arrival.at, beat) {
            witness.before_beat(arrival.at, &detector);
            detector = next;
            witness.after_beat(arrival.sent, &detector);
        }
    }
    witness.quality()
}

fn arrivals(seed: u64, beats: u64) -> Vec<Arrival> {
    let mut rng = stream(seed, "detectors", 0);
    let (mut arrivals, mut is_lossy) = (Vec::new(), false);
    for sequence in 0..beats {
        is_lossy = match is_lossy {
            true => rng.u32(..1_000) < 750,
            false => rng.u32(..1_000) < 1,
        };
        let delay = delay(&mut rng);
        let is_silent = sequence % BEATS_AN_HOUR >= BEATS_AN_HOUR - SILENT;
        if is_lossy || is_silent {
            continue;
        }
        let sent = Tick::from_nanos(sequence.saturating_mul(100_000_000));
        arrivals.push(Arrival {
            sent,
            at: sent + delay,
            sequence,
        });
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    arrivals
}

/// Log-normal, with mean 140 ms and deviation 10 ms. The logarithm is our own library's, the same on
/// every platform.
fn delay(rng: &mut Rng) -> Duration {
    let variance = libm::log(1.0 + (10.0_f64 / 140.0) * (10.0 / 140.0));
    let mean = libm::log(0.140) - variance / 2.0;
    let normal = normal(rng);
    let seconds = libm::exp(mean + variance.sqrt() * normal);
    Duration::from_secs_f64(seconds)
}

/// Box and Muller's, of which one half is used.
fn normal(rng: &mut Rng) -> f64 {
    let unit = |bits: u32| (f64::from(bits) + 0.5) / 4_294_967_296.0;
    let (one, other) = (unit(rng.u32(..)), unit(rng.u32(..)));
    (-2.0 * libm::log(one)).sqrt() * libm::cos(std::f64::consts::TAU * other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_patience_makes_fewer_mistakes_and_finds_later() {
        let arrivals = arrivals(3, 2 * BEATS_AN_HOUR);
        let all: Vec<(String, Quality)> = rules()
            .into_iter()
            .map(|(name, rule)| (name, judge(rule, &arrivals)))
            .collect();
        for family in ["time-out", "Chen", "φ"] {
            let of = all.iter().filter(|(name, _)| name.starts_with(family));
            let of: Vec<Quality> = of.map(|(_, quality)| *quality).collect();
            assert!(
                of.is_sorted_by(|one, other| one.mistakes >= other.mistakes),
                "{family}"
            );
            let later = of.is_sorted_by(|one, other| one.detection_time() < other.detection_time());
            assert!(later && of[0].mistakes > of[4].mistakes, "{family}: {of:?}");
        }
    }

    #[test]
    fn the_link_is_as_it_is_described() {
        let arrivals = arrivals(5, 4 * BEATS_AN_HOUR);
        let delays = arrivals.iter().map(|it| (it.at - it.sent).as_secs_f64());
        let count = f64::from(u32::try_from(arrivals.len()).unwrap());
        let mean = delays.clone().sum::<f64>() / count;
        let variance = delays
            .map(|delay| (delay - mean) * (delay - mean))
            .sum::<f64>()
            / count;
        assert!((mean - 0.140).abs() < 0.001 && (variance.sqrt() - 0.010).abs() < 0.001);
        let lost = 1.0 - count / 144_000.0;
        assert!((0.002..0.006).contains(&lost), "{lost}");
    }
}
