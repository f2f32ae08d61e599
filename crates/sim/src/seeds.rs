//! The search over seeds, and how to repeat what it finds.
//!
//! By default the seeds are 1, 2, 3 and so on, so that a change passes today what it passed
//! yesterday. `WATERTIGHT_SEED` sets the first one, and `WATERTIGHT_SOAK_SECONDS` asks for more
//! seeds until the time is over. A search that found nothing says how many seeds it ran, in a line
//! at the end of the file that `WATERTIGHT_SOAK_TALLY` names: its test, a tab, the number.
//! `cargo xtask soak` sets all three, and adds up.

use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use crate::Coverage;

/// Which seeds to run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Seeds {
    first: u64,
    count: u64,
    soak: Duration,
    is_told: bool,
}

/// A seed whose run went wrong, and what it said. Its `Display` tells how to replay it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// The seed.
    pub seed: u64,
    /// What went wrong.
    pub what: String,
}

impl Seeds {
    /// So many seeds, at least one, from the first on; the environment may set the first and ask
    /// for more.
    ///
    /// # Panics
    ///
    /// When a variable is set to what is no number: a replay of the wrong seed would mislead.
    #[must_use]
    pub fn new(count: u64) -> Self {
        Self {
            first: number(SEED).unwrap_or(1),
            count: count.max(1),
            soak: Duration::from_secs(number(SOAK_SECONDS).unwrap_or(0)),
            is_told: true,
        }
    }

    /// So many seeds from this one on, whatever the environment says: for tests of checkers, which
    /// must find the same planted bug each time.
    #[must_use]
    pub fn fixed(first: u64, count: u64) -> Self {
        Self {
            first,
            count: count.max(1),
            soak: Duration::ZERO,
            is_told: false,
        }
    }

    /// Runs the seeds, and returns what was covered by all of them together.
    ///
    /// # Panics
    ///
    /// At the first seed whose run goes wrong, with the way to replay it.
    pub fn run<E: fmt::Display>(self, run: impl FnMut(u64) -> Result<(), E>) -> Coverage {
        self.search(run).unwrap_or_else(|found| panic!("{found}"))
    }

    /// Like [`run`](Self::run), for those who want what was found.
    ///
    /// # Errors
    ///
    /// The first seed whose run goes wrong. A run that panics goes on panicking, after its seed
    /// was printed.
    ///
    /// # Panics
    ///
    /// When the file for the number of seeds cannot be written.
    pub fn search<E: fmt::Display>(
        self,
        mut run: impl FnMut(u64) -> Result<(), E>,
    ) -> Result<Coverage, Found> {
        let end = now() + self.soak;
        let mut all = Coverage::default();
        let mut ran = 0;
        while ran < self.count || now() < end {
            let seed = self.first.wrapping_add(ran);
            ran += 1;
            let witness = Witness(seed);
            let (result, coverage) = Coverage::of(|| run(seed));
            drop(witness);
            all.merge(&coverage);
            result.map_err(|error| Found {
                seed,
                what: error.to_string(),
            })?;
        }
        if let Some(path) = env::var_os(SOAK_TALLY).filter(|_| self.is_told)
            && let Err(error) = tally(&path, ran)
        {
            panic!("{SOAK_TALLY}={}: {error}", path.display());
        }
        Ok(all)
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {}\n{}",
            self.seed,
            self.what,
            replay(self.seed)
        )
    }
}

/// Says the seed of a run that panics.
struct Witness(u64);

impl Drop for Witness {
    #[expect(
        clippy::print_stderr,
        reason = "a panic must not take its seed with it"
    )]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("seed {} panicked\n{}", self.0, replay(self.0));
        }
    }
}

fn replay(seed: u64) -> String {
    let thread = thread::current();
    let test = thread.name().filter(|name| *name != "main");
    format!(
        "replay with: {SEED}={seed} cargo xtask test {}",
        test.unwrap_or_default()
    )
}

/// One write to the end of the file, so that tests side by side do not write into each other's lines.
fn tally(path: &OsStr, ran: u64) -> io::Result<()> {
    let thread = thread::current();
    let line = format!("{}\t{ran}\n", thread.name().unwrap_or_default());
    let mut file = File::options().append(true).create(true).open(path)?;
    file.write_all(line.as_bytes())
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    match text.parse() {
        Ok(number) => Some(number),
        Err(_) => panic!("{name}={text} is no whole number"),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a soak ends by the wall clock: this is the edge, and no run sees it"
)]
fn now() -> Instant {
    Instant::now()
}

const SEED: &str = "WATERTIGHT_SEED";
const SOAK_SECONDS: &str = "WATERTIGHT_SOAK_SECONDS";
const SOAK_TALLY: &str = "WATERTIGHT_SOAK_TALLY";

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;
    use crate::sometimes;

    #[test]
    fn the_first_seed_that_fails_is_named_with_the_way_to_replay_it() {
        let run = |seed| (seed < 8).then_some(()).ok_or("planted");
        let found = Seeds::fixed(5, 10).search(run).unwrap_err();
        assert_eq!((found.seed, found.what.as_str()), (8, "planted"));
        let text = found.to_string();
        assert!(
            text.contains("WATERTIGHT_SEED=8 cargo xtask test "),
            "{text}"
        );
        assert!(text.ends_with("the_first_seed_that_fails_is_named_with_the_way_to_replay_it"));
    }

    #[test]
    fn what_any_seed_met_is_covered() {
        let coverage = Seeds::fixed(1, 10).run(|seed| {
            sometimes!(seed == 7, "seven");
            Ok::<_, Infallible>(())
        });
        coverage.require(&["seven"]).unwrap();
    }
}
