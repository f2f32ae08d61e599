//! The report as one text table and a verdict: the same group in all phases stands together, to be compared at a glance.

use super::{Figures, Named, Noisy, Report};
use crate::{Class, verdict};
use comfy_table::{Cell, CellAlignment, Table, presets};

const HEADER: [&str; 8] = [
    "Tier", "Tenants", "Phase", "Requests", "Success", "p50", "p99", "Answers",
];

/// The table over all phases and the verdict below it, without colours, ending with a line feed.
#[must_use]
pub fn table(report: &Report) -> String {
    format!("{}{}\n", rows(report), verdict::sentence(report))
}

/// The table and the alerts, ending with a line feed.
pub(crate) fn rows<P: Named>(report: &Report<P>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_BORDERS_ONLY)
        .set_header(HEADER);
    for group in report.groups().filter(|group| group.class != Class::Noisy) {
        let name = [group.tier.to_string(), group.class.to_string()];
        for (place, (phase, figures)) in group.rows.into_iter().enumerate() {
            table.add_row(row(place, &name, phase, &cells(figures)));
        }
    }
    for (place, phase) in report.phases.iter().enumerate() {
        let group = ["all".to_owned(), Class::Noisy.to_string()];
        table.add_row(row(place, &group, phase.name, &noisy_cells(&phase.noisy)));
    }
    let alerts = alerts(report);
    format!("{table}\n{alerts}")
}

fn alerts<P: Named>(report: &Report<P>) -> String {
    let told = report.phases.iter().flat_map(|phase| {
        let alerts = phase.alerts.iter();
        alerts.map(|says| format!("alert in {}: {says}\n", phase.name))
    });
    told.collect()
}

fn row<P: Named>(place: usize, group: &[String; 2], phase: P, rest: &[String; 5]) -> Vec<Cell> {
    // A group is named once, on its first line.
    let named = |text: &String| {
        if place == 0 {
            Cell::new(text)
        } else {
            Cell::new("")
        }
    };
    let right = |text: &String| Cell::new(text).set_alignment(CellAlignment::Right);
    let mut row: Vec<_> = group.iter().map(named).collect();
    row.push(Cell::new(phase));
    row.extend(rest[..4].iter().map(right));
    row.push(Cell::new(&rest[4]));
    row
}

fn cells(figures: &Figures) -> [String; 5] {
    [
        figures.requests.to_string(),
        percent(figures.success_pct),
        format!("{:.1} ms", figures.p50_ms),
        format!("{:.1} ms", figures.p99_ms),
        String::new(),
    ]
}

fn noisy_cells(noisy: &Noisy) -> [String; 5] {
    let success_pct = 100.0 * noisy.ok as f64 / noisy.requests.max(1) as f64;
    let none = || "\u{2013}".to_owned();
    [
        noisy.requests.to_string(),
        percent(success_pct),
        none(),
        none(),
        noisy.answers(),
    ]
}

/// Two places, rounded down: 100 means all of them.
pub(crate) fn percent(number: f64) -> String {
    format!("{:.2} %", (number * 100.0).floor() / 100.0)
}

impl Noisy {
    /// What it was answered, in words: `200 × 9,120, 429 × 13,240`.
    #[must_use]
    pub fn answers(&self) -> String {
        let counted: Vec<_> = self
            .status
            .iter()
            .map(|(key, count)| format!("{key} \u{d7} {}", grouped(*count)))
            .collect();
        counted.join(", ")
    }
}

/// With commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }

    #[test]
    fn nearly_all_is_not_all() {
        assert_eq!(percent(99.999), "99.99 %");
        assert_eq!(percent(100.0), "100.00 %");
    }
}
