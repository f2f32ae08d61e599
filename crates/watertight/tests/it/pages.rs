//! What the pattern pages say of configuration, answers and metrics is what there is.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use watertight::config::parse;
use watertight_base::Reason;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs");

/// The pattern pages, by name.
fn pages() -> Vec<(String, String)> {
    let entries = fs::read_dir(Path::new(FOLDER).join("patterns")).unwrap();
    let pages = entries.map(|entry| {
        let path = entry.unwrap().path();
        (
            path.display().to_string(),
            fs::read_to_string(path).unwrap(),
        )
    });
    pages.collect()
}

fn examples(page: &str) -> impl Iterator<Item = &str> {
    let parts = page.split("```toml\n").skip(1);
    parts.map(|part| part.split_once("```").unwrap().0)
}

#[test]
fn every_example_in_the_pages_loads_and_says_nothing_that_was_not_meant() {
    let pages = pages();
    let examples = pages.iter().flat_map(|(name, page)| {
        let examples = examples(page);
        examples.map(move |example| (name, example))
    });
    // The files that examples name.
    let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pages");
    fs::create_dir_all(&base).unwrap();
    for name in ["beat.key", "cluster.key"] {
        let file = base.join(name);
        fs::write(
            &file,
            "3bd53e24ea44f4bd86ab58e4d4cf4bdee9f35dcc7b2b8bb1ae1e3e4ad27b0a4c",
        )
        .unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut count = 0;
    for (name, example) in examples {
        count += 1;
        match parse("example.toml", example, &base, &|_| None) {
            Ok(loaded) => assert!(loaded.notes.is_empty(), "{:?}\n{example}", loaded.notes),
            Err(failure) => {
                let says_so = failure.to_string().contains("built without `engines`");
                let is_all = failure.problems().len() == 1 && !cfg!(feature = "engines");
                assert!(says_so && is_all, "{name}: {failure}\n{example}");
            }
        }
    }
    assert!(count > 0);
}

/// Reasons that a page writes behind a status that is not theirs: in a table's cell, a status and
/// then the reasons that have it.
fn wrong_statuses(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let mut wrong = Vec::new();
    for cell in rows.flat_map(|row| row.split('|')) {
        let mut status = None;
        for word in cell.split([' ', ',', ';']) {
            if let Ok(number) = word.parse::<u16>() {
                status = Some(number);
            }
            let named = word.trim_matches('`');
            let reason = Reason::ALL.iter().find(|reason| reason.label() == named);
            if let Some((reason, status)) = reason.zip(status)
                && reason.http_status() != status
            {
                wrong.push(format!("{status} {named}"));
            }
        }
    }
    wrong
}

#[test]
fn statuses_and_reasons_in_the_pages_belong_together() {
    for (name, page) in pages() {
        assert_eq!(wrong_statuses(&page), [""; 0], "{name}");
    }
    let planted = "| a rate | 503 `tenant-rate`; 429 `brown-out`, `tenant-queue-full` |";
    assert_eq!(
        wrong_statuses(planted),
        ["503 tenant-rate", "429 brown-out"]
    );
}

#[test]
fn the_throttling_page_tells_of_every_refusal_but_those_of_identity() {
    let pages = pages();
    let (_, page) = pages
        .iter()
        .find(|(name, _)| name.ends_with("throttling.md"))
        .unwrap();
    for reason in Reason::ALL {
        let is_told = page.contains(&format!("`{}`", reason.label()));
        let is_of_identity = matches!(reason.http_status(), 401 | 403);
        assert!(is_told || is_of_identity, "{}", reason.label());
    }
}

#[test]
fn every_metric_in_the_pages_is_in_the_catalogue() {
    let catalogue = fs::read_to_string(Path::new(FOLDER).join("metrics.md")).unwrap();
    for (name, page) in pages() {
        for part in page.split("`watertight_").skip(1) {
            let is_of_name = |c: char| c.is_ascii_lowercase() || c == '_';
            let metric = part.split(|c| !is_of_name(c)).next().unwrap();
            // `watertight_layers::client` is a module.
            let is_module = part[metric.len()..].starts_with(':');
            let is_there = catalogue.contains(&format!("`watertight_{metric}`"));
            assert!(is_there || is_module, "{name}: watertight_{metric}");
        }
    }
}
