//! `watertight sim`: the experiments behind the pictures in our documentation, from their seeds.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use watertight_sim::experiments::{ALL, Experiment, Report, SEED, Size};

use super::{Output, columns, print};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Which; without it they are listed.
    name: Option<String>,
    /// What chance follows from; the pictures in the documentation are those of 1.
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// With all parameters and more seeds, where an experiment has more; this may take many minutes.
    #[arg(long)]
    full: bool,
    /// Also draws it into this file as SVG; further charts of it go beside it, numbered from 2 on.
    #[arg(long, value_name = "FILE", requires = "name")]
    svg: Option<PathBuf>,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let Some(name) = &arguments.name else {
        print(&list(arguments.output));
        return Ok(ExitCode::SUCCESS);
    };
    let experiment = Experiment::find(name).ok_or_else(|| unknown(name))?;
    let size = match arguments.full {
        true => Size::Full,
        false => Size::Small,
    };
    let report = experiment.run(arguments.seed, size);
    if let Some(file) = &arguments.svg {
        draw(&report, file)?;
    }
    match arguments.output {
        Output::Table => print(&report.to_string()),
        Output::Json => print(&in_json(experiment, &report).to_string()),
    }
    Ok(ExitCode::SUCCESS)
}

fn draw(report: &Report, file: &Path) -> anyhow::Result<()> {
    for (place, svg) in report.svgs.iter().enumerate() {
        let file = match place {
            0 => file.to_owned(),
            _ => {
                let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                file.with_file_name(format!("{stem}-{}.svg", place + 1))
            }
        };
        fs::write(&file, svg).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

fn list(output: Output) -> String {
    if output == Output::Json {
        let all = ALL.map(|found| json!({ "name": found.name, "about": found.about }));
        return json!(all).to_string();
    }
    let mut table = columns(["experiment", "what it shows"]);
    for experiment in ALL {
        table.add_row([experiment.name, experiment.about]);
    }
    table.to_string()
}

fn in_json(experiment: &Experiment, report: &Report) -> serde_json::Value {
    let figures = report.figures.iter();
    let figures = figures
        .map(|figure| json!({ "name": figure.name, "value": figure.value, "unit": figure.unit }));
    json!({
        "name": experiment.name,
        "about": experiment.about,
        "seed": report.seed,
        "figures": figures.collect::<Vec<_>>(),
        "picture": report.picture,
    })
}

fn unknown(name: &str) -> anyhow::Error {
    let names = ALL.map(|experiment| experiment.name).join(", ");
    anyhow::anyhow!("there is no experiment {name:?}; there are {names}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn every_experiment_is_listed_and_can_be_read_by_programs() {
        let (table, names) = (list(Output::Table), list(Output::Json));
        let names: serde_json::Value = serde_json::from_str(&names).unwrap();
        for (experiment, listed) in ALL.iter().zip(names.as_array().unwrap()) {
            assert!(table.contains(experiment.name) && table.contains(experiment.about));
            assert_eq!(listed["name"], experiment.name);
        }
        let experiment = Experiment::find("throttle-burst").unwrap();
        let report = in_json(experiment, &experiment.run(3, Size::Small));
        assert_eq!(report["seed"], 3);
        assert!(report["figures"][0]["value"].is_number(), "{report}");
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let said = unknown("spikes").to_string();
        assert!(
            said.contains("\"spikes\"") && said.contains("brown-out"),
            "{said}"
        );
    }
}
