//! Figures: what we measure lives in `benches/`, how we measure lives here.
//!
//! CPU time of the thread, not time on the wall: a busy machine then costs spread, not truth. All
//! cases of a table take turns within each round, so that whatever disturbs one disturbs all; the
//! median of the rounds is reported, with the quartiles around it.

#![allow(clippy::print_stdout, reason = "a bench prints its figures")]

mod envoy;
mod instructions;
mod process;
mod shares;

use rustix::time::{ClockId, clock_gettime};

pub use envoy::envoy;
pub use instructions::{instructions, to_be_counted};
pub use process::process_cpu_ns;
pub use shares::{jain, quartiles};

/// A case: its name, and what does the given number of operations.
pub type Case<'a> = (&'a str, Box<dyn FnMut(u32) + 'a>);

/// A case that measures itself: what does the operations returns the CPU time that they took, in
/// nanoseconds.
pub type MeasuredCase<'a> = (&'a str, Box<dyn FnMut(u32) -> f64 + 'a>);

/// Whether this is a run for figures: without `--bench` among the arguments, as under `cargo test`,
/// a bench only sees that it runs.
pub fn is_for_figures() -> bool {
    std::env::args().any(|argument| argument == "--bench")
}

/// Runs the cases in turns and prints ns of this thread's CPU time per operation, and the ratio to
/// the last case. Returns the medians.
pub fn compare(title: &str, cases: &mut [Case<'_>]) -> Vec<f64> {
    let (rounds, operations) = if is_for_figures() {
        (31, 100_000)
    } else {
        (1, 100)
    };
    let measured = cases.iter_mut().map(|(name, run)| -> MeasuredCase<'_> {
        let case = move |operations| {
            let start = cpu_ns();
            run(operations);
            cpu_ns() - start
        };
        (name, Box::new(case))
    });
    compare_measured(title, rounds, operations, &mut measured.collect::<Vec<_>>())
}

/// Runs cases that measure themselves in turns, and prints the same table. Returns the medians.
pub fn compare_measured(
    title: &str,
    rounds: u32,
    operations: u32,
    cases: &mut [MeasuredCase<'_>],
) -> Vec<f64> {
    let mut samples = vec![Vec::new(); cases.len()];
    for _ in 0..rounds {
        for ((_, run), samples) in cases.iter_mut().zip(&mut samples) {
            samples.push(run(operations) / f64::from(operations));
        }
    }
    for samples in &mut samples {
        samples.sort_by(f64::total_cmp);
    }
    let of_last = samples.last().map_or(f64::NAN, |last| quantile(last, 2));
    println!(
        "\n{title}\n{:44} {:>9}   quartiles        ratio",
        "", "ns CPU"
    );
    for ((name, _), samples) in cases.iter().zip(&samples) {
        let [low, median, high] = [1, 2, 3].map(|quarter| quantile(samples, quarter));
        let ratio = median / of_last;
        println!("{name:44} {median:9.1}   {low:.1} to {high:.1}   {ratio:6.2}");
    }
    samples.iter().map(|samples| quantile(samples, 2)).collect()
}

/// CPU time that this thread has had, in nanoseconds.
pub fn cpu_ns() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// The value so many quarters up in what is sorted.
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    sorted[(sorted.len() - 1) * quarters / 4]
}
