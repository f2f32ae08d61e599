//! The experiments behind the pictures in `docs/patterns/`.
//!
//! **Decides** what is shown, and with which numbers: each experiment runs the cores as they are
//! under a load that follows from a seed, and gives a [`Report`] of figures and pictures. The pages
//! hold the reports of [`SEED`] word for word: a test of this crate fails when one is stale, and
//! `cargo xtask docs` writes it anew. What the text beside a picture says is asserted of the figures
//! in the experiment's own tests.
//!
//! Servers are modelled (workers, a line in front of them, a time that each request takes); what
//! admits, refuses, delays and shrinks is the code that runs in a node.

mod boundary;
mod brown_out;
mod bulkhead;
mod burst;
mod cluster;
mod crowd;
mod delay;
mod detection;
mod detectors;
mod lifeguard;
mod links;
mod load;
mod pauses;
mod server;
mod spike;

use std::fmt;

/// The seed of the pictures in the documentation.
pub const SEED: u64 = 1;

/// All experiments, in the order in which one reads them.
pub const ALL: [Experiment; 13] = [
    Experiment {
        name: "throttle-boundary",
        about: "100 a minute around a full minute: four algorithms, asked for far more",
        run: |seed, _| boundary::run(seed),
    },
    Experiment {
        name: "throttle-burst",
        about: "a burst after idleness, then lasting overload: who saves up, who spaces out",
        run: |seed, _| burst::run(seed),
    },
    Experiment {
        name: "throttle-delay",
        about: "a leaky bucket that makes requests wait, and a timer that comes late",
        run: |seed, _| delay::run(seed),
    },
    Experiment {
        name: "spike",
        about: "ten times the traffic in ten seconds, new machines minutes later",
        run: |seed, _| spike::run(seed),
    },
    Experiment {
        name: "brown-out",
        about: "a resource loses most of its speed: limits of tier 3 shrink, then those of tier 2",
        run: |seed, _| brown_out::run(seed),
    },
    Experiment {
        name: "bulkhead",
        about: "eight small tenants beside one, two and eight floods, cheap and dear",
        run: |seed, _| bulkhead::run(seed),
    },
    Experiment {
        name: "cluster",
        about: "one limit over three nodes, and ten seconds without the store that they share",
        run: |seed, _| cluster::run(seed),
    },
    Experiment {
        name: "detectors",
        about: "four failure detectors on a long, lossy link: how soon, and how often wrong",
        run: detectors::run,
    },
    Experiment {
        name: "lifeguard",
        about: "SWIM and the parts of Lifeguard while members stall again and again",
        run: lifeguard::run,
    },
    Experiment {
        name: "membership-alpha",
        about: "how soon a crash is known to all, by the length of suspicion",
        run: detection::by_alpha,
    },
    Experiment {
        name: "membership-scale",
        about: "how soon a crash is known to all, by the size of the cluster and by loss",
        run: detection::by_size,
    },
    Experiment {
        name: "membership-links",
        about: "members that lose most of what they send or hear, or hear nothing at times",
        run: links::run,
    },
    Experiment {
        name: "membership-pauses",
        about: "members that stand still, wholly or in part, and clocks that jump",
        run: pauses::run,
    },
];

/// How much an experiment tries.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Size {
    /// As in the pages: seconds.
    #[default]
    Small,
    /// All parameters and more seeds, where an experiment has more: up to many minutes.
    Full,
}

/// An experiment.
#[derive(Clone, Copy, Debug)]
pub struct Experiment {
    /// Its name on the command line and in the pages.
    pub name: &'static str,
    /// What it shows, in one line.
    pub about: &'static str,
    run: fn(u64, Size) -> Report,
}

impl Experiment {
    /// The experiment of this name, if there is one.
    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|experiment| experiment.name == name)
    }

    /// Runs it. The same seed gives the same report, to the byte.
    pub fn run(&self, seed: u64, size: Size) -> Report {
        (self.run)(seed, size)
    }
}

/// What came of an experiment. Its `Display` is the picture and then the figures, as in the pages.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The seed that it follows from.
    pub seed: u64,
    /// What was measured.
    pub figures: Vec<Figure>,
    /// One chart, or several one below the other.
    pub picture: String,
    /// The same charts, each as an SVG document.
    pub svgs: Vec<String>,
}

/// Something measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What.
    pub name: String,
    /// How much, to a tenth.
    pub value: f64,
    /// Of what; empty for a plain number.
    pub unit: &'static str,
}

impl Report {
    fn new(seed: u64) -> Self {
        Self {
            seed,
            figures: Vec::new(),
            picture: String::new(),
            svgs: Vec::new(),
        }
    }

    fn figure(mut self, name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        self.figures.push(Figure {
            name: name.into(),
            value: (value * 10.0).round() / 10.0,
            unit,
        });
        self
    }

    fn chart(mut self, chart: &crate::plot::Chart) -> Self {
        if !self.picture.is_empty() {
            self.picture.push('\n');
        }
        self.picture.push_str(&chart.to_string());
        self.svgs.push(chart.to_svg());
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.picture)?;
        let names = self
            .figures
            .iter()
            .map(|figure| figure.name.chars().count());
        let width = names.max().unwrap_or(0);
        for Figure { name, value, unit } in &self.figures {
            let line = format!("{name:<width$}  {value:>7} {unit}");
            writeln!(f, "{}", line.trim_end())?;
        }
        write!(f, "seed {}", self.seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_experiment_is_found_by_its_name_and_by_no_other() {
        for experiment in ALL {
            let found = Experiment::find(experiment.name).map(|found| found.about);
            assert_eq!(found, Some(experiment.about));
        }
        assert!(Experiment::find("throttle").is_none());
    }

    #[test]
    fn the_same_seed_gives_the_same_report_and_it_fits_a_page() {
        for experiment in ALL {
            let report = experiment.run(SEED, Size::Small);
            assert_eq!(
                report,
                experiment.run(SEED, Size::Small),
                "{}",
                experiment.name
            );
            assert!(!report.figures.is_empty() && !report.picture.is_empty());
            for line in report.to_string().lines() {
                let name = experiment.name;
                assert!(line.chars().count() <= 80, "{name}: {line}");
                assert_eq!(line, line.trim_end(), "{name}");
            }
        }
    }

    #[test]
    fn another_seed_gives_another_report() {
        let experiment = Experiment::find("throttle-burst").unwrap();
        assert_ne!(
            experiment.run(1, Size::Small).picture,
            experiment.run(2, Size::Small).picture
        );
    }
}
