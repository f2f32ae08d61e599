//! How a command reaches a node.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::environment;
use crate::client::{Access, Client};

/// The node to ask, and how it is to be convinced.
#[derive(Args, Debug)]
pub(super) struct NodeArguments {
    /// The node's admin listener [default: http://127.0.0.1:7070].
    #[arg(long, value_name = "URL")]
    pub(super) node: Option<String>,
    /// A file with the token that the node asks for; WATERTIGHT_TOKEN is the token itself.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The authority that signed the node's certificate, PEM.
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The certificate to show to the node, PEM.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The key of that certificate, PEM.
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// A node that is asked if it is named: there is no default, and how to convince one is said of that one alone.
#[derive(Args, Debug)]
#[command(
    mut_arg("node", |it| it.help("Ask a running node, too: its admin listener")),
    mut_arg("token_file", |it| it.requires("node")),
    mut_arg("ca", |it| it.requires("node")),
    mut_arg("cert", |it| it.requires("node")),
    mut_arg("key", |it| it.requires("node"))
)]
pub(super) struct NamedNode {
    #[command(flatten)]
    arguments: NodeArguments,
}

impl NamedNode {
    /// The node, if one is named.
    pub(super) fn named(&self) -> Option<&NodeArguments> {
        self.arguments.node.is_some().then_some(&self.arguments)
    }
}

impl NodeArguments {
    /// A client of the node.
    pub(super) fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::new(&Access {
            node: self.node.clone(),
            token: token(self.token_file.as_deref())?,
            ca: self.ca.clone(),
            identity: self.cert.clone().zip(self.key.clone()),
        })?)
    }
}

/// The token in a file, or else the one in the environment.
pub(super) fn token(file: Option<&Path>) -> anyhow::Result<Option<String>> {
    let Some(path) = file else {
        return Ok(environment("WATERTIGHT_TOKEN").filter(|token| !token.trim().is_empty()));
    };
    let read = std::fs::read_to_string(path);
    Ok(Some(read.with_context(|| {
        format!("{} cannot be read", path.display())
    })?))
}

/// The one thread of a command that asks a node.
pub(super) fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("threads cannot be started")
}
