//! What to measure, and how often.

use std::{env, path::PathBuf, time::Duration};

use crate::{
    case::{CASES, Case},
    set_up::{SET_UPS, SetUp},
};

pub(crate) struct Options {
    pub(crate) rounds: u64,
    /// How long is counted in each run.
    pub(crate) window: Duration,
    pub(crate) cases: Vec<&'static Case>,
    pub(crate) set_ups: Vec<&'static SetUp>,
    /// Where all that was measured is written, or read from.
    pub(crate) json: PathBuf,
    /// Only read it, and print the tables again.
    pub(crate) is_read: bool,
    /// Add to what it has.
    pub(crate) goes_on: bool,
}

impl Options {
    /// From the arguments of the process.
    ///
    /// # Errors
    /// What is wrong with them, and what there is.
    pub(crate) fn read() -> Result<Self, String> {
        let mut options = Self {
            rounds: 7,
            window: Duration::from_secs(5),
            cases: Vec::new(),
            set_ups: Vec::new(),
            json: env::temp_dir().join("watertight-isolation.json"),
            is_read: false,
            goes_on: false,
        };
        let mut arguments = env::args().skip(1);
        while let Some(option) = arguments.next() {
            if option == "--bench" {
                continue;
            }
            let value = arguments.next().ok_or_else(usage)?;
            let number = || value.parse::<u64>().map_err(|_| usage());
            match option.as_str() {
                "--rounds" => options.rounds = number()?.max(1),
                "--seconds" => options.window = Duration::from_secs(number()?.max(1)),
                "--case" => options.cases = named(&value, &CASES, |case| case.name)?,
                "--set-up" => options.set_ups = named(&value, &SET_UPS, |set_up| set_up.name)?,
                "--json" => options.json = value.into(),
                "--from" => (options.json, options.is_read) = (value.into(), true),
                "--go-on" => (options.json, options.goes_on) = (value.into(), true),
                _ => return Err(usage()),
            }
        }
        if options.cases.is_empty() {
            options.cases.extend(&CASES);
        }
        if options.set_ups.is_empty() {
            options.set_ups.extend(&SET_UPS);
        }
        Ok(options)
    }
}

/// Those that the list names, in its order.
fn named<T>(
    list: &str,
    all: &'static [T],
    name: impl Fn(&T) -> &'static str,
) -> Result<Vec<&'static T>, String> {
    let found = list.split(',').map(|wanted| {
        let found = all.iter().find(|one| name(one) == wanted);
        found.ok_or_else(|| format!("there is no `{wanted}`\n{}", usage()))
    });
    found.collect()
}

fn usage() -> String {
    let list = |all: Vec<(&str, &str)>| -> String {
        let lines = all
            .iter()
            .map(|(name, about)| format!("  {name:20} {about}\n"));
        lines.collect()
    };
    format!(
        "usage: cargo xtask bench isolation [--rounds 7] [--seconds 5] [--case A,B] [--set-up A,B] \
         [--json FILE]\n       cargo xtask bench isolation --go-on FILE [...]   adds more rounds to it\n       \
         cargo xtask bench isolation --from FILE          prints its tables again\n\
         \ncases\n{}\nset-ups\n{}",
        list(CASES.iter().map(|case| (case.name, case.about)).collect()),
        list(
            SET_UPS
                .iter()
                .map(|set_up| (set_up.name, set_up.about))
                .collect()
        ),
    )
}
