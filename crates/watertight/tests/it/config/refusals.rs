//! Bad configurations, and the exact words that they get.
//!
//! `tests/it/golden` has a bad `NAME.toml` and its words in `NAME.txt`. With `GOLDEN=write` in the
//! environment the test writes the words anew, to be read before they are committed.

use std::{fs, path::Path};

use super::read;

#[test]
fn every_mistake_gets_its_place_and_its_remedy() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden");
    let mut cases = 0;
    let mut differ = Vec::new();
    for entry in fs::read_dir(golden).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        cases += 1;
        let failure = read(&fs::read_to_string(&path).unwrap()).expect_err("it is bad");
        let said = failure.render(false);
        let words = path.with_extension("txt");
        if std::env::var("GOLDEN").is_ok_and(|word| word == "write") {
            fs::write(&words, &said).unwrap();
        }
        let expected = fs::read_to_string(&words).unwrap_or_default();
        if expected != said {
            differ.push(format!(
                "--- {}\n{expected}+++ now\n{said}",
                words.display()
            ));
        }
        for problem in failure.problems() {
            let place = format!("{}:{}:{}", problem.file, problem.line, problem.column);
            assert!(said.contains(&place), "{place} is not in\n{said}");
        }
    }
    assert!(cases > 30);
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
