//! The pattern pages: every claim names a test that exists, or says that it is open.
//!
//! A page under `docs/patterns/` has tables `| id | claim | where | proof |`. In the proof column a
//! backticked name with `::` or `_` in it is a test; the rest of the cell is prose.

use std::collections::BTreeSet;

use super::source::Source;
use super::{Violation, scan};

pub(super) fn check(sources: &[Source]) -> Vec<Violation> {
    let functions: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| scan::functions(&source.code))
        .map(|function| function.name)
        .collect();
    sources
        .iter()
        .filter(|source| source.path.starts_with("docs/patterns/"))
        .filter(|source| source.has_extension(&["md"]))
        .flat_map(|page| check_page(page, &functions))
        .collect()
}

fn check_page(page: &Source, functions: &BTreeSet<&str>) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut columns = None;
    for (index, line) in page.text.lines().enumerate() {
        let Some(cells) = cells(line) else {
            columns = None;
            continue;
        };
        if columns.is_none() {
            columns = Some(
                cells
                    .iter()
                    .position(|cell| cell.eq_ignore_ascii_case("proof")),
            );
            continue;
        }
        let Some(Some(proof)) = columns else {
            continue;
        };
        if is_rule(&cells) {
            continue;
        }
        let cell = cells.get(proof).map_or("", String::as_str);
        if let Some(what) = judge(&cells[0], cell, functions) {
            found.push(Violation::new(&page.path, index + 1, what));
        }
    }
    found
}

fn judge(id: &str, proof: &str, functions: &BTreeSet<&str>) -> Option<String> {
    if proof.is_empty() {
        return Some(format!(
            "{id} has no proof: name the test in backticks, or write `open`"
        ));
    }
    let absent: Vec<&str> = names(proof)
        .filter(|name| {
            let last = name.rsplit("::").next().unwrap_or(name);
            !functions.contains(last)
        })
        .collect();
    (!absent.is_empty()).then(|| {
        format!(
            "{id} is proved by a test that does not exist: {}; write it, correct the name, or \
             mark the row `open`",
            absent.join(", ")
        )
    })
}

/// The backticked names in the cell that can only be tests.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(|name| name.strip_prefix("test:").unwrap_or(name).trim())
        .filter(|name| name.contains("::") || name.contains('_'))
        .filter(|name| name.split("::").all(is_identifier))
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The cells of a table's row; none if the line is no row.
fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.trim().strip_prefix('|')?;
    let row = row.strip_suffix('|').unwrap_or(row).replace("\\|", "\0");
    let cells = row.split('|').map(|cell| cell.trim().replace('\0', "|"));
    Some(cells.collect())
}

/// Whether the row only draws the line below the header.
fn is_rule(cells: &[String]) -> bool {
    cells
        .iter()
        .all(|cell| cell.chars().all(|c| matches!(c, '-' | ':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(row: &str) -> Vec<Violation> {
        let text =
            format!("# Isolation\n\n| id | claim | where | proof |\n|---|---|---|---|\n{row}\n");
        check(&[
            Source::new("docs/patterns/isolation.md", &text),
            Source::new(
                "crates/a/src/a.rs",
                "//! x\nfn a_seat_is_held() {}\n// fn a_comment() {}\n",
            ),
        ])
    }

    #[test]
    fn a_test_that_does_not_exist_is_caught() {
        for proof in [
            "`a_seat_is_lost`",
            "`guard::pool::tests::a_seat_is_lost`",
            "`a_seat_is_held`, `test: a_seat_is_lost`",
            "`a_comment`",
        ] {
            let found = page(&format!("| I1 | seats | `pool.rs` | {proof} |"));
            assert_eq!((found.len(), found[0].line), (1, 5), "{proof}");
            assert!(found[0].what.starts_with("I1 "), "{found:?}");
        }
    }

    #[test]
    fn a_row_without_proof_is_caught() {
        assert_eq!(page("| I1 | seats | `pool.rs` | |").len(), 1);
        assert_eq!(page("| I1 | seats |").len(), 1);
    }

    #[test]
    fn rows_with_tests_and_open_rows_pass() {
        for proof in [
            "`a_seat_is_held`",
            "`guard::pool::a_seat_is_held` (a \\| b)",
            "open",
            "`cargo xtask soak`, `tests/it/main.rs`",
        ] {
            let found = page(&format!("| I1 | seats | `lost_module` | {proof} |"));
            assert_eq!(found, [], "{proof}");
        }
    }

    #[test]
    fn tables_without_proof_and_other_pages_are_not_read() {
        let table = "| a | b |\n|---|---|\n| `no_test` | `no_test` |\n";
        assert_eq!(check(&[Source::new("docs/patterns/a.md", table)]), []);
        let row = "| id | proof |\n|---|---|\n| I1 | `no_test` |\n";
        assert_eq!(check(&[Source::new("docs/ops/a.md", row)]), []);
    }
}
