//! `[heartbeat]`: how the silence of nodes that beat to `[listen.heartbeat]` is judged.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_cluster::Target;
use watertight_heartbeat::{MonitorSpec, Rule};
use watertight_plan::{Protocol, Upstream};

use super::{
    duration::{self, DAY, DurationText, HOUR, MILLISECOND, MINUTE},
    files::Files,
    findings::{Finding, Findings},
    located::{Located, Span, if_written},
    upstream,
};

/// How the silence of nodes that beat to `[listen.heartbeat]` is judged.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Heartbeat {
    /// A node is `alive` in /status while its last beat is younger, 100ms to 1h; nobody is held for
    /// dead sooner. Default: 5s.
    timeout: Option<Located<DurationText>>,
    /// How often nodes beat that do not say so, 10ms to 1h, less than `timeout`. Default: 1s.
    interval: Option<Located<DurationText>>,
    /// From when on silence is suspicious. Default: fixed.
    detector: Option<Detector>,
    /// Beats that must be missing, with detector = "fixed". Default: 3.
    #[schemars(range(min = 1, max = 100))]
    misses: Option<Located<u32>>,
    /// What delay is granted beside that, 0ms to 1h; with "chen" its margin, with "phi" a pause that
    /// is always granted; "bertier" finds its own. Default: 500ms.
    margin: Option<Located<DurationText>>,
    /// The φ from which on a node is suspected, with detector = "phi". Default: 8.
    #[schemars(range(min = 0.1, max = 100))]
    threshold: Option<Located<f64>>,
    /// How many beats of each node are remembered, with any detector but "fixed". Default: 100.
    #[schemars(range(min = 2, max = 10_000))]
    window: Option<Located<u32>>,
    /// How many beats in a row bring a dead node back. Default: 2.
    #[schemars(range(min = 1, max = 100))]
    recovery: Option<u32>,
    /// How many deaths within a minute make a node's coming and going count no more. Default: 3.
    #[schemars(range(min = 2, max = 100))]
    flaps: Option<u32>,
    /// For how long nobody is judged after a start, and after nobody was heard, 0ms to 1h.
    /// Default: 10s.
    grace: Option<Located<DurationText>>,
    /// For how long the dead and those who left are remembered, 1m to 30d. Default: 1d.
    forget_after: Option<Located<DurationText>>,
    /// Most nodes; further ones are answered 507. Default: 100000.
    #[schemars(range(min = 1, max = 1_000_000))]
    nodes: Option<u32>,
    /// Beats a second beyond which nodes are asked to beat less often, though never less than twice
    /// within the time-out. Default: 100000.
    #[schemars(range(min = 1, max = 10_000_000))]
    beats_per_second: Option<u32>,
    /// The heartbeat listeners of the other monitors, "http://host:port": a majority of all of them
    /// must miss a node before it is dead. They have the same key. Default: none.
    #[serde(default)]
    #[schemars(length(max = 8))]
    monitors: Vec<Located<String>>,
    /// Monitors that this node itself beats to, once in `interval`, under the name of the node:
    /// "udp://host:port" or "http://host:port". Those of its region, of all regions, or its peers.
    /// Default: none.
    #[serde(default)]
    #[schemars(length(max = 16))]
    beat_to: Vec<Located<String>>,
    /// A file with the key that those monitors ask for. Default: none.
    beat_token_file: Option<Located<String>>,
}

/// From when on silence is suspicious.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Detector {
    /// After so many beats that are missing, and a margin.
    Fixed,
    /// After a time that beats exceed very seldom (φ accrual).
    Phi,
    /// After the expected arrival and a margin (NFD-E).
    Chen,
    /// After the expected arrival and a margin that follows how regular beats are.
    Bertier,
}

impl Heartbeat {
    pub(super) fn read(
        &self,
        files: &Files<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Heartbeat> {
        let defaults = MonitorSpec::default();
        let rule = self.rule(findings);
        let monitors: Vec<Upstream> = self
            .monitors
            .iter()
            .filter_map(|monitor| read_monitor(monitor, findings))
            .collect();
        let beat_to = self.beat_to.iter();
        let beat_to = beat_to.filter_map(|target| read_target(target, findings));
        let beat_to = beat_to.collect();
        let beat_key = if_written(self.beat_token_file.as_ref(), |path| {
            files.token(path, findings)
        });
        let [timeout, interval, grace, forget_after] = self.times(findings)?;
        Some(watertight_plan::Heartbeat {
            monitor: MonitorSpec {
                timeout,
                interval,
                rule: rule?,
                recovery: self.recovery.unwrap_or(defaults.recovery),
                flaps: self.flaps.unwrap_or(defaults.flaps),
                grace,
                monitors: 1 + self.monitors.len(),
                forget_after,
                nodes_max: number(self.nodes, defaults.nodes_max),
                ..defaults
            },
            beats_per_second: self.beats_per_second.unwrap_or(BEATS_PER_SECOND),
            monitors,
            beat_to,
            beat_key: beat_key?,
        })
    }

    /// Time-out, interval, grace, and how long the dead are remembered.
    fn times(&self, findings: &mut Findings<'_>) -> Option<[Duration; 4]> {
        let defaults = MonitorSpec::default();
        let written = [
            (&self.timeout, defaults.timeout, MILLISECOND * 100..=HOUR),
            (&self.interval, defaults.interval, MILLISECOND * 10..=HOUR),
            (&self.grace, defaults.grace, Duration::ZERO..=HOUR),
            (&self.forget_after, defaults.forget_after, MINUTE..=DAY * 30),
        ];
        let read = written.map(|(value, default, range)| {
            duration::or_default(value.as_ref(), default, range, findings)
        });
        let [timeout, interval, grace, forget_after] = read;
        let (timeout, interval) = (timeout?, interval?);
        if let Some(written) = self.interval.as_ref().or(self.timeout.as_ref())
            && interval >= timeout
        {
            let message = "a node that beats once in `interval` would not be alive by `timeout`";
            let finding = Finding::new(written.span(), message);
            findings.add(finding.help("make `interval` a third of `timeout`, or less".to_owned()));
        }
        Some([timeout, interval, grace?, forget_after?])
    }

    fn rule(&self, findings: &mut Findings<'_>) -> Option<Rule> {
        use Detector::{Bertier, Chen, Fixed, Phi};
        let detector = self.detector.unwrap_or(Fixed);
        let keys: [(&str, Option<&Span>, &[Detector]); 4] = [
            ("misses", self.misses.as_ref().map(Located::span), &[Fixed]),
            (
                "margin",
                self.margin.as_ref().map(Located::span),
                &[Fixed, Phi, Chen],
            ),
            (
                "threshold",
                self.threshold.as_ref().map(Located::span),
                &[Phi],
            ),
            (
                "window",
                self.window.as_ref().map(Located::span),
                &[Phi, Chen, Bertier],
            ),
        ];
        for (key, span, detectors) in keys {
            if let Some(span) = span
                && !detectors.contains(&detector)
            {
                let message = format!("`{key}` has no meaning for this detector");
                let help = "leave it out, or choose another `detector`".to_owned();
                findings.add(Finding::new(span, message).help(help));
            }
        }
        let margin = duration::or_default(
            self.margin.as_ref(),
            MARGIN,
            Duration::ZERO..=HOUR,
            findings,
        )?;
        let window = number(self.window.as_deref().copied(), WINDOW);
        Some(match detector {
            Fixed => Rule::Fixed {
                misses: self.misses.as_deref().copied().unwrap_or(MISSES),
                margin,
            },
            Phi => Rule::Phi {
                threshold: self.threshold.as_deref().copied().unwrap_or(THRESHOLD),
                window,
                deviation_min: DEVIATION_MIN,
                pause: margin,
            },
            Chen => Rule::Chen { window, margin },
            Bertier => Rule::Bertier { window },
        })
    }
}

fn read_monitor(monitor: &Located<String>, findings: &mut Findings<'_>) -> Option<Upstream> {
    match upstream::parse(monitor) {
        Ok(upstream) if upstream.protocol == Protocol::Http1 => Some(upstream),
        _ => {
            let finding = Finding::new(monitor.span(), "this is not where a monitor listens");
            let help = "\"http://host:port\", on a network that you trust".to_owned();
            findings.add(finding.help(help));
            None
        }
    }
}

fn read_target(target: &Located<String>, findings: &mut Findings<'_>) -> Option<String> {
    let parsed = target.parse::<Target>();
    let is_built = !target.starts_with("https://");
    if parsed.is_ok() && is_built {
        return Some((**target).clone());
    }
    let finding = match is_built {
        true => Finding::new(target.span(), "this is no place to beat to"),
        false => Finding::new(
            target.span(),
            "TLS to monitors is not built yet in this version",
        ),
    };
    let help =
        "\"udp://host:port\" with a key, or \"http://host:port\" on a network that you trust";
    findings.add(finding.help(help.to_owned()));
    None
}

fn number(written: Option<u32>, default: usize) -> usize {
    written.map_or(default, |number| usize::try_from(number).unwrap_or(default))
}

const MISSES: u32 = 3;
const MARGIN: Duration = Duration::from_millis(500);
const THRESHOLD: f64 = 8.0;
/// A hundred thousand nodes of which a thousand beats each are remembered would take a gigabyte.
const WINDOW: usize = 100;
const DEVIATION_MIN: Duration = Duration::from_millis(100);
const BEATS_PER_SECOND: u32 = 100_000;
