//! What was aimed at, beside what was measured.

use watertight_benches::is_for_figures;

/// Targets in the order in which they were measured.
#[derive(Debug, Default)]
pub(super) struct Targets(Vec<Target>);

#[derive(Debug)]
struct Target {
    what: &'static str,
    at_most: f64,
    measured: f64,
}

impl Targets {
    /// So much at most was aimed at, and so much was measured.
    pub(super) fn at_most(&mut self, what: &'static str, at_most: f64, measured: f64) {
        self.0.push(Target {
            what,
            at_most,
            measured,
        });
    }

    /// Says of each whether it was met.
    pub(super) fn print(&self) {
        if !is_for_figures() {
            return;
        }
        println!("\n{:58} {:>9} {:>9}", "targets", "at most", "measured");
        for Target {
            what,
            at_most,
            measured,
        } in &self.0
        {
            let verdict = if measured <= at_most { "met" } else { "missed" };
            println!("{what:58} {at_most:9.4} {measured:9.4}   {verdict}");
        }
    }
}
