//! `watertight map`: who shares what with whom, and where the walls are. Exit 2: there was nothing to draw.

use std::{path::PathBuf, process::ExitCode};

use anyhow::bail;
use clap::{Args, ValueEnum};
use watertight_proof::map::{self, Flow, Map};

use super::{access::NamedNode, config_path, load, print, say, walls};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file [default: watertight.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    node: NamedNode,
    /// What this service shares with others, the riskiest first.
    #[arg(long, value_name = "SERVICE", conflicts_with = "diff")]
    flow: Option<String>,
    /// What differs in this other configuration: what changes for the walls if it comes next.
    #[arg(long, value_name = "FILE")]
    diff: Option<PathBuf>,
    /// How it is printed; `--flow` and `--diff` as text or json.
    #[arg(long, alias = "format", value_enum, default_value_t)]
    output: Form,
}

/// How a map is printed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
enum Form {
    /// For a terminal.
    #[default]
    Text,
    /// For pages that draw Mermaid diagrams.
    Mermaid,
    /// A picture to scale.
    Svg,
    /// For programs.
    Json,
}

pub(super) fn run(arguments: &Arguments) -> ExitCode {
    walls::seen(look(arguments))
}

fn look(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let path = config_path(arguments.config.as_ref());
    let loaded = match load(&path) {
        Ok(loaded) => loaded,
        Err(code) => return Ok(code),
    };
    let is_drawn = matches!(arguments.output, Form::Mermaid | Form::Svg);
    if is_drawn && (arguments.flow.is_some() || arguments.diff.is_some()) {
        bail!("`--flow` and `--diff` are printed as text or json");
    }
    let is_part = arguments.flow.is_some() || arguments.diff.is_some();
    if is_part && arguments.node.named().is_some() {
        bail!("live use is laid over the whole map, without `--flow` and `--diff`");
    }
    let map = Map::of(&loaded.plan);
    if let Some(next) = &arguments.diff {
        let next = match load(next) {
            Ok(next) => Map::of(&next.plan),
            Err(code) => return Ok(code),
        };
        let diff = map::diff(&map, &next);
        print(&match arguments.output {
            Form::Json => diff.json(),
            _ => diff.text(),
        });
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(service) = &arguments.flow {
        let Some(flow) = Flow::of(&map, service) else {
            let names = map.services.iter().map(|service| service.service.as_str());
            let names: Vec<&str> = names.collect();
            bail!(
                "there is no service {service}; there are: {}",
                names.join(", ")
            );
        };
        print(&match arguments.output {
            Form::Json => serde_json::to_string_pretty(&flow)?,
            _ => flow.text(),
        });
        return Ok(ExitCode::SUCCESS);
    }
    let map = match walls::ask(&arguments.node, &loaded.plan)? {
        Some(node) => {
            if !node.runs_this {
                say("note: the node runs by another configuration than the one that is mapped");
            }
            map.with_use(&node)
        }
        None => map,
    };
    print(&match arguments.output {
        Form::Text => map::text(&map),
        Form::Mermaid => map::mermaid(&map),
        Form::Svg => map::svg(&map),
        Form::Json => map.json(),
    });
    Ok(ExitCode::SUCCESS)
}
