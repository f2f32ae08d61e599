//! `watertight audit`: the bulkhead checklist, with evidence.
//!
//! Exit codes: 0 no hole, 1 a hole (with `--strict` also evidence that is missing) or a configuration that is refused,
//! 2 nobody could look: a file or a node that could not be read.

use std::{fs, path::Path, path::PathBuf, process::ExitCode};

use anyhow::Context;
use clap::Args;
use watertight_proof::{
    NodeView,
    audit::{self, Evidence, KeptMap, LastDrill},
    map,
};

use super::{Output, access::NamedNode, config_path, load, print, walls};
use crate::config::Lines;

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// The configuration file [default: watertight.toml].
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    node: NamedNode,
    /// What a drill wrote with `--output json`; may be given for several drills.
    #[arg(long, value_name = "FILE")]
    drill: Vec<PathBuf>,
    /// The copy of the isolation map that people read, in whatever form.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Exit 1 when evidence is missing, too, and not only on a hole.
    #[arg(long)]
    strict: bool,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t)]
    output: Output,
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
    let node: Option<NodeView> = walls::ask(&arguments.node, &loaded.plan)?;
    let drills: Vec<LastDrill> = arguments
        .drill
        .iter()
        .map(|path| read_drill(path))
        .collect::<anyhow::Result<_>>()?;
    let kept = match &arguments.map {
        Some(path) => Some((path.display().to_string(), map::digest_in(&read(path)?))),
        None => None,
    };
    let kept_map = kept.as_ref().map(|(file, digest)| KeptMap {
        file,
        digest: digest.as_deref(),
    });
    let evidence = Evidence {
        node: node.as_ref(),
        drills: &drills,
        kept_map,
    };
    let mut report = audit::audit(&loaded.plan, &evidence);
    let text = read(&path)?;
    let lines = Lines::of(&text);
    report.locate(&path.display().to_string(), |keys| lines.of_path(keys));
    match arguments.output {
        Output::Json => print(&report.json()),
        Output::Table => print(&audit::text(&report)),
    }
    Ok(match report.passes(arguments.strict) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn read_drill(path: &Path) -> anyhow::Result<LastDrill> {
    let what = || format!("{} is not what a drill wrote", path.display());
    serde_json::from_str(&read(path)?).with_context(what)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
}
