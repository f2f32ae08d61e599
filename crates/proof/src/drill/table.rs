//! The report of a drill as text: what was said before, one table, the promises and the verdict.

use super::DrillReport;
use crate::report::table::rows;
use std::fmt::Write;

/// The whole text, ending with a line feed.
#[must_use]
pub fn table(report: &DrillReport) -> String {
    let mut text = report.statement.text();
    text.push('\n');
    text.push_str(&rows(&report.measured));
    // Each phase has the same.
    if let Some(phase) = report.measured.phases.first() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "p50 and p99: a failed request counts with the time-out, {} ms",
            phase.timeout_ms
        );
    }
    for fault in &report.pressure.faults {
        let _ = writeln!(
            text,
            "fault of {}: {} requests struck",
            fault.fault.service, fault.hits
        );
    }
    if let Some(hoard) = report.pressure.hoarded {
        let _ = writeln!(
            text,
            "connections hoarded: {} wanted, {} tried, {} served, {} refused, {} closed",
            hoard.wanted, hoard.opened, hoard.served, hoard.refused, hoard.closed
        );
    }
    if let Some(aborted) = &report.aborted {
        let _ = writeln!(text, "cut short by its guard after {} s", aborted.at_s);
    }
    for promise in &report.promises {
        let mark = if promise.kept { "kept  " } else { "BROKEN" };
        let _ = writeln!(text, "{mark} {}", promise.says());
    }
    let _ = writeln!(text, "\n{}", report.verdict);
    text
}

impl super::Statement {
    /// What is said before anything is done, a line each, ending with a line feed.
    #[must_use]
    pub fn text(&self) -> String {
        let Self {
            does,
            hypothesis,
            blast_radius,
            abort,
        } = self;
        format!(
            "does          {does}\nhypothesis    {hypothesis}\nblast radius  {blast_radius}\nabort when    {abort}\n"
        )
    }
}
