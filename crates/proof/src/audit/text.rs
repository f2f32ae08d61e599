//! The report for a terminal. It says nothing that the report's JSON does not.

use std::{collections::HashMap, fmt::Write as _};

use super::{Advice, AuditReport, Finding, Fix, Point};

/// The report as text. A snippet that mends several points is shown at the first.
#[must_use]
pub fn text(report: &AuditReport) -> String {
    let mut text = String::new();
    let mut shown: HashMap<&str, u8> = HashMap::new();
    for point in &report.points {
        let _ = writeln!(
            text,
            "{:>2}. {:<70} {}",
            point.number,
            point.title,
            point.severity.label()
        );
        for finding in &point.findings {
            add_finding(&mut text, point, finding, &mut shown);
        }
    }
    for advice in &report.advice {
        add_advice(&mut text, advice);
    }
    let _ = writeln!(
        text,
        "\n{} {}, {} missing; map {}",
        report.holes,
        if report.holes == 1 { "hole" } else { "holes" },
        report.missing,
        report.map
    );
    text
}

fn add_finding<'r>(
    text: &mut String,
    point: &'r Point,
    finding: &'r Finding,
    shown: &mut HashMap<&'r str, u8>,
) {
    let _ = writeln!(text, "    {:<7} {}", finding.severity.label(), finding.says);
    if let Some(sum) = &finding.sum {
        let _ = writeln!(text, "            {sum}");
    }
    let Some(fix) = &finding.fix else { return };
    if let Some(place) = &finding.place {
        let _ = writeln!(text, "            at {place}");
    }
    let before = fix
        .toml
        .as_deref()
        .and_then(|toml| shown.get(toml).copied());
    if let Some(number) = before {
        let _ = writeln!(
            text,
            "            mended by the lines shown in point {number}"
        );
        return;
    }
    if let Some(toml) = &fix.toml {
        shown.insert(toml, point.number);
    }
    add_fix(text, fix);
}

fn add_fix(text: &mut String, fix: &Fix) {
    let _ = writeln!(text, "            → {}", fix.says);
    let lines = fix.toml.iter().flat_map(|toml| toml.lines());
    for line in lines {
        let _ = match line.is_empty() {
            true => writeln!(text),
            false => writeln!(text, "              {line}"),
        };
    }
}

fn add_advice(text: &mut String, advice: &Advice) {
    let _ = writeln!(text, "\nwalls of {}: {}", advice.pool, advice.says);
    if let Some(over_s) = advice.over_s {
        let _ = writeln!(
            text,
            "  over {over_s} s; a wall needs (m + 4 × √m) / {} % for m seats held on average, what is wanted now, and more \
             than it has when it is full; room for {}",
            advice.alert_percent, advice.room
        );
    }
    for size in &advice.sizes {
        let _ = write!(text, "  {}: {} seats", size.compartment, size.seats);
        if let Some(mean) = size.mean_held {
            let _ = write!(text, ", {mean} held on average");
        }
        if let Some(wanted) = size.wanted {
            let _ = write!(text, ", {wanted} held or waited for now");
        }
        let _ = write!(text, ", needs {}", size.needs);
        if size.suggested != size.seats {
            let _ = write!(text, ": {} suggested", size.suggested);
        }
        text.push('\n');
    }
    add_fix(text, &advice.fix);
}
