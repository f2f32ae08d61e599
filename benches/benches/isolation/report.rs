//! The tables, and the targets. Everything here comes from the runs alone.

use watertight_benches::quartiles;

use crate::{
    case::{CALM, CASES},
    figures::Figures,
    run::Run,
    set_up::{PEER, SET_UPS},
};

type Figure = fn(&Figures) -> Option<f64>;

/// Name, digits after the point, and which it is.
const COLUMNS: [(&str, usize, Figure); 6] = [
    ("p99 × calm", 2, |figures| figures.ratio),
    ("success %", 1, |figures| figures.success),
    ("use %", 1, |figures| figures.used),
    ("Jain", 3, |figures| figures.jain),
    ("honest %", 1, |figures| figures.honest),
    ("µs CPU", 1, |figures| figures.cpu_us),
];

/// A table for each case that was measured: medians, with the quartiles around them.
pub(crate) fn print(all: &[Run]) {
    for case in &CASES {
        if all.iter().all(|run| run.case != case.name) {
            continue;
        }
        println!("\n{}: {}", case.name, case.about);
        print!("{:20}", "");
        for (name, ..) in COLUMNS {
            print!(" {name:^21}");
        }
        println!();
        for set_up in &SET_UPS {
            let figures = figures(all, set_up.name, case.name);
            if figures.is_empty() {
                continue;
            }
            print!("{:20}", set_up.name);
            for (_, digits, figure) in COLUMNS {
                let cell = match quartiles(figures.iter().filter_map(figure)) {
                    Some([low, median, high]) => {
                        format!("{median:.digits$} ({low:.digits$}–{high:.digits$})")
                    }
                    None => "–".to_owned(),
                };
                print!(" {cell:^21}");
            }
            println!();
        }
    }
    print_calm(all);
    print_targets(all);
}

/// What the ratios are to.
fn print_calm(all: &[Run]) {
    println!("\nthe victims alone: p99 in ms");
    for set_up in &SET_UPS {
        let calm = all
            .iter()
            .filter(|run| (run.set_up.as_str(), run.case.as_str()) == (set_up.name, CALM.name));
        if let Some([low, median, high]) = quartiles(calm.filter_map(Run::p99_ms)) {
            println!("{:20} {median:6.1} ({low:.1}–{high:.1})", set_up.name);
        }
    }
}

fn print_targets(all: &[Run]) {
    println!(
        "\n{:50} {:>10} {:>9}",
        "targets, by medians", "", "measured"
    );
    for case in &CASES {
        for name in OURS {
            let of = |set_up: &str, figure: Figure| {
                let figures = figures(all, set_up, case.name);
                quartiles(figures.iter().filter_map(figure)).map(|[_, median, _]| median)
            };
            let by_peer = of(name, |figures| figures.cpu_us)
                .zip(of(PEER, |figures| figures.cpu_us))
                .map(|(ours, peer)| ours / peer);
            let (most, least) = aims(name, case.name);
            let [ratio, success, used, jain, honest] = [0, 1, 2, 3, 4].map(|column| {
                let (_, _, figure) = COLUMNS[column];
                of(name, figure)
            });
            let targets = [
                ("p99 × calm", ratio, Bound::AtMost(most)),
                ("victims' success, %", success, Bound::AtLeast(100.0)),
                ("use, %", used, Bound::AtLeast(least)),
                ("Jain", jain, Bound::AtLeast(0.95)),
                (
                    "the honest tenant's success, %",
                    honest,
                    Bound::AtLeast(100.0),
                ),
                ("CPU beside haproxy-priority's", by_peer, Bound::AtMost(1.2)),
            ];
            for (what, measured, bound) in targets {
                if let Some(measured) = measured {
                    let what = format!("{name}, {}: {what}", case.name);
                    println!(
                        "{what:65} {bound} {measured:8.3}   {}",
                        bound.verdict(measured)
                    );
                }
            }
        }
    }
}

/// The p99 at most, and the use at least.
fn aims(set_up: &str, case: &str) -> (f64, f64) {
    match (set_up, case) {
        ("watertight-all-lent", "heavy") => (1.55, 98.0),
        ("watertight-adaptive", _) => (1.25, 90.0),
        (_, "heavy") => (1.10, 92.0),
        _ => (1.10, 98.0),
    }
}

const OURS: [&str; 4] = [
    "watertight",
    "watertight-all-lent",
    "watertight-adaptive",
    "watertight-two",
];

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    fn verdict(&self, measured: f64) -> &'static str {
        let is_met = match self {
            Self::AtMost(bound) => measured <= *bound,
            Self::AtLeast(bound) => measured >= *bound,
        };
        if is_met { "met" } else { "missed" }
    }
}

impl std::fmt::Display for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtMost(bound) => write!(f, "≤ {bound:6.2}"),
            Self::AtLeast(bound) => write!(f, "≥ {bound:6.2}"),
        }
    }
}

fn figures(all: &[Run], set_up: &str, case: &str) -> Vec<Figures> {
    let runs = all
        .iter()
        .filter(|run| run.set_up == set_up && run.case == case);
    runs.map(|run| Figures::new(run, all)).collect()
}
