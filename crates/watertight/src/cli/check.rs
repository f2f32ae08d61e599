//! `watertight check`: is this configuration right?

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use serde_json::json;

use super::{Output, colour, complain, config_path, environment, print, say};
use crate::config;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the JSON Schema of configurations instead.
    #[arg(long)]
    schema: bool,
    /// How errors are printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

pub(super) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if arguments.schema {
        print(&serde_json::to_string_pretty(&config::schema())?);
        return Ok(ExitCode::SUCCESS);
    }
    let path = config_path(arguments.config.as_ref());
    let loaded = match config::load(&path, &environment) {
        Ok(loaded) => loaded,
        Err(failure) => {
            match arguments.output {
                Output::Json => print(&failure.to_json().to_string()),
                Output::Table => say(&failure.render(colour())),
            }
            return Ok(ExitCode::from(failure.exit_code()));
        }
    };
    for note in &loaded.notes {
        say(&format!("note: {note}"));
    }
    let unusable = watertight_gateway::check(&loaded.plan).err();
    match (&unusable, arguments.output) {
        (None, Output::Json) => print(&json!({ "errors": [], "more": 0 }).to_string()),
        (None, Output::Table) => say(&format!("{}: right", path.display())),
        (Some(error), Output::Json) => {
            let error = json!({ "file": path, "message": error.to_string() });
            print(&json!({ "errors": [error], "more": 0 }).to_string());
        }
        (Some(error), Output::Table) => complain(&format!("{}: {error}", path.display())),
    }
    Ok(if unusable.is_none() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
