//! The pictures in the pages are those that the experiments draw.

use std::fs;
use std::path::Path;

use watertight_sim::experiments::{self, Experiment};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/patterns");
const BEGIN: &str = "<!-- sim: ";
const OPEN: &str = "```text\n";
const CLOSE: &str = "```\n";

/// Each picture of a page: the experiment's name, and what stands below it.
fn pictures(page: &str) -> Vec<(&str, &str)> {
    let parts = page.split(BEGIN).skip(1);
    parts
        .map(|part| {
            let (name, rest) = part.split_once(" -->\n").unwrap();
            let text = rest.strip_prefix(OPEN).unwrap();
            (name, text.split_once(CLOSE).unwrap().0)
        })
        .collect()
}

/// What is stale on a page.
fn stale(page: &str) -> Vec<&str> {
    let is_stale = |(name, text): &(&str, &str)| {
        let drawn = Experiment::find(name).map(|found| {
            found
                .run(experiments::SEED, experiments::Size::Small)
                .to_string()
        });
        drawn.is_none_or(|drawn| drawn.trim_end() != text.trim_end())
    };
    let pictures = pictures(page);
    pictures
        .into_iter()
        .filter(is_stale)
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn every_picture_in_the_pages_is_what_its_experiment_draws() {
    let mut shown = Vec::new();
    for entry in fs::read_dir(Path::new(FOLDER)).unwrap() {
        let page = fs::read_to_string(entry.unwrap().path()).unwrap();
        let stale = stale(&page);
        assert!(stale.is_empty(), "stale: {stale:?}; run `cargo xtask docs`");
        shown.extend(pictures(&page).iter().map(|(name, _)| (*name).to_owned()));
    }
    for experiment in experiments::ALL {
        assert!(
            shown.iter().any(|name| name == experiment.name),
            "{}",
            experiment.name
        );
    }
}

#[test]
fn a_picture_that_is_stale_or_of_nothing_is_found() {
    let right = Experiment::find("throttle-burst")
        .unwrap()
        .run(experiments::SEED, experiments::Size::Small);
    let page =
        |name: &str, text: &str| format!("x\n\n{BEGIN}{name} -->\n{OPEN}{text}\n{CLOSE}\ny\n");
    assert!(stale(&page("throttle-burst", &right.to_string())).is_empty());
    let other = Experiment::find("throttle-burst")
        .unwrap()
        .run(2, experiments::Size::Small)
        .to_string();
    assert_eq!(stale(&page("throttle-burst", &other)), ["throttle-burst"]);
    assert_eq!(stale(&page("nothing", "")), ["nothing"]);
}
