//! The examples in the pattern pages are configurations that load.

use std::{fs, path::Path};

use super::read;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/patterns");

fn examples(page: &str) -> impl Iterator<Item = &str> {
    let parts = page.split("```toml\n").skip(1);
    parts.map(|part| part.split_once("```").unwrap().0)
}

#[test]
fn every_example_in_the_pages_loads_and_says_nothing_that_was_not_meant() {
    let mut count = 0;
    for entry in fs::read_dir(Path::new(FOLDER)).unwrap() {
        let path = entry.unwrap().path();
        let page = fs::read_to_string(&path).unwrap();
        for example in examples(&page) {
            count += 1;
            match read(example) {
                Ok(loaded) => assert!(loaded.notes.is_empty(), "{:?}\n{example}", loaded.notes),
                Err(failure) => {
                    let needs_engines = example.contains("[stores.");
                    let says_so = failure.to_string().contains("built without `engines`");
                    let is_without = !cfg!(feature = "engines") && failure.problems().len() == 1;
                    assert!(
                        needs_engines && says_so && is_without,
                        "{}: {failure}\n{example}",
                        path.display()
                    );
                }
            }
        }
    }
    assert!(count > 0);
}
