//! The configuration: a TOML file, turned into the checked [`Plan`] that a node runs by.
//!
//! It happens in four steps, each of which reports everything it can before the next is begun:
//!
//! 1. The text is parsed; what is not TOML ends here.
//! 2. The document is held against the [`schema`]: unknown keys, missing keys, types, words,
//!    ranges. Variables are put into values. What is wrong is reported and taken out; a number that is
//!    out of its range is reported, and another stands in for it.
//! 3. Each table is turned into core types: durations, addresses, names; files are read.
//! 4. The parts are checked against each other: plans that tenants name, routes, seats.
//!
//! A configuration is used whole or not at all. Nothing of the text is kept once it is read.

mod adaptive;
mod alerts;
mod api_keys;
mod breaker;
mod class;
mod cluster;
mod compartments;
mod cost;
mod declared;
mod document;
mod duration;
mod failure;
mod field;
mod files;
mod findings;
mod health;
mod heartbeat;
mod identity;
mod interpolate;
mod lines;
mod listen;
mod locate;
mod located;
mod log;
mod metrics;
mod nearest;
mod node;
mod notes;
mod path;
mod plans;
mod pools;
mod schema;
mod sections;
mod services;
mod shape;
mod size;
mod source;
mod stand_in;
mod stores;
mod tcp;
mod tenants;
mod throttle;
mod throttling;
mod tls;
mod unbuilt;
mod upstream;

use std::{
    fs::File,
    io::{self, Read},
    mem,
    path::Path,
};

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};
use watertight_base::PlanId;
use watertight_plan::{Builder, Plan};

pub use failure::{Failure, Note, Problem};
pub use lines::Lines;
pub use schema::schema;

use document::Document;
use files::Files;
use findings::{Finding, Findings};
use sections::{Kind, Sections};
use shape::Shape;
use tenants::Tenants;
use throttle::{Known, Place};

/// What the environment says of a variable's name; nothing when it is not set.
pub type Environment<'e> = &'e dyn Fn(&str) -> Option<String>;

/// The longest configuration, in bytes: 64 MiB.
pub const LENGTH_MAX: u64 = 64 << 20;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub plan: Plan,
    /// What it allows that should be said aloud, in no order.
    pub notes: Vec<Note>,
}

/// Reads the configuration in the file `path`.
///
/// Files that it names are found from the directory of `path`.
///
/// # Errors
/// [`Failure`] says everything that is wrong with it.
pub fn load(path: &Path, environment: Environment<'_>) -> Result<Loaded, Failure> {
    let name = path.display().to_string();
    let unreadable = |message: String| Failure::Unreadable {
        file: name.clone(),
        message,
    };
    let text = read(path).map_err(unreadable)?;
    let base = path.parent().unwrap_or(Path::new(""));
    parse(&name, &text, base, environment)
}

/// Reads the configuration in `text`, which messages call `name`; files that it names are found
/// from `base`.
///
/// # Errors
/// [`Failure`] says everything that is wrong with it.
pub fn parse(
    name: &str,
    text: &str,
    base: &Path,
    environment: Environment<'_>,
) -> Result<Loaded, Failure> {
    let mut findings = Findings::new(name, text);
    let mut sections = Sections::of(text);
    let mut table = parse_toml(&sections.rest, &mut findings).unwrap_or_default();
    if !sections.tenants.is_empty() && table.contains_key("tenants") {
        // Tenants in more than one way: TOML must see them together to judge them.
        drop(table);
        sections = Sections::whole(text);
        findings = Findings::new(name, text);
        table = parse_toml(&sections.rest, &mut findings).unwrap_or_default();
    }
    let mut tenants = Tenants::new(&names(&table, "plans"));
    let (services, stores) = (names(&table, "services"), names(&table, "stores"));
    let mut document = read_document(table, &mut findings, environment);
    let known = Known::new(services, &stores, &document);
    let builder = read_tables(&document, &known, &Files::new(base), &mut findings);
    let is_whole = findings.is_whole();
    tenants.read(&mem::take(&mut document.tenants), &known, &mut findings);
    for piece in sections.tenants {
        findings.enter_part(piece.span.start);
        if let Some(table) = parse_toml(&text[piece.span], &mut findings) {
            let table = match piece.kind {
                Kind::Tables => table,
                Kind::Lines => under("tenants", table),
            };
            let part = read_document(table, &mut findings, environment);
            tenants.read(&part.tenants, &known, &mut findings);
        }
    }
    findings.leave_part();
    let builder = builder.tenants(tenants.finish());
    if is_whole {
        for problem in builder.problems() {
            let follows = locate::follows(&problem, |end| findings.stands_in(end));
            if let Some(finding) = locate::finding(&document, &problem).filter(|_| !follows) {
                findings.add(finding);
            }
        }
    }
    if !findings.is_clean() {
        return Err(refused(findings, "this cannot be used"));
    }
    match builder.build() {
        Ok(plan) => {
            notes::add(&document, &plan, &mut findings);
            let notes = findings.finish()?;
            Ok(Loaded { plan, notes })
        }
        Err(error) => Err(refused(findings, &error.to_string())),
    }
}

/// The failure of what was found, or of `otherwise` when nothing was.
fn refused(mut findings: Findings<'_>, otherwise: &str) -> Failure {
    if findings.is_clean() {
        findings.add(Finding::new(&(0..0), otherwise));
    }
    match findings.finish() {
        Err(failure) => failure,
        Ok(_) => Failure::Problems {
            problems: Vec::new(),
            more: 1,
        },
    }
}

fn read(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        _ => format!("this file cannot be read: {error}"),
    })?;
    file.take(LENGTH_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => "this file is not text in UTF-8".to_owned(),
            _ => format!("this file cannot be read: {error}"),
        })?;
    if text.len() as u64 > LENGTH_MAX {
        return Err(format!("this file is longer than {LENGTH_MAX} bytes"));
    }
    Ok(text)
}

fn parse_toml<'t>(text: &'t str, findings: &mut Findings<'_>) -> Option<DeTable<'t>> {
    match DeTable::parse(text) {
        Ok(table) => Some(table.into_inner()),
        Err(error) => {
            findings.add_syntax(&error.span().unwrap_or(0..0), error.message());
            None
        }
    }
}

/// A document that has `table` as its one table `name`.
fn under<'t>(name: &'t str, table: DeTable<'t>) -> DeTable<'t> {
    let mut document = DeTable::new();
    document.insert(
        Spanned::new(0..0, name.into()),
        Spanned::new(0..0, DeValue::Table(table)),
    );
    document
}

/// The keys of the table `key`.
fn names(table: &DeTable<'_>, key: &str) -> Vec<String> {
    match table.get(key).map(Spanned::get_ref) {
        Some(DeValue::Table(named)) => named.keys().map(|name| name.to_string()).collect(),
        _ => Vec::new(),
    }
}

/// What of `table` agrees with the schema; the rest is reported.
fn read_document(
    mut table: DeTable<'_>,
    findings: &mut Findings<'_>,
    environment: Environment<'_>,
) -> Document {
    Shape::new(findings, environment).table(schema::shared(), &mut table, &(0..0));
    let table = Spanned::new(0..0, table);
    match Document::deserialize(toml::de::Deserializer::from(table)) {
        Ok(document) => document,
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            findings.add(Finding::new(&span, error.message()));
            Document::default()
        }
    }
}

/// Everything but the tenants, as core types; what is wrong is reported and left out.
fn read_tables(
    document: &Document,
    known: &Known,
    files: &Files<'_>,
    findings: &mut Findings<'_>,
) -> Builder {
    let mut builder = Plan::builder();
    for limit in throttle::read(&document.throttle, Place::Everybody, known, findings) {
        builder = builder.limit(limit);
    }
    if let Some(store) = document.stores.read(files, findings)
        && let Some(throttling) = document.throttling.read(store, findings)
    {
        builder = builder.throttling(throttling);
    }
    let (log, metrics) = (document.log.read(), document.metrics.read());
    if let Some(node) = document.node.read(log, metrics, files, findings) {
        builder = builder.node(node);
    }
    if let Some(health) = document.health.read(findings) {
        builder = builder.health(health);
    }
    if let Some(alerting) = document.alerts.read(files, findings) {
        builder = builder.alerting(alerting);
    }
    if let Some(heartbeat) = document.heartbeat.read(files, findings) {
        builder = builder.heartbeat(heartbeat);
    }
    if let Some(cluster) = document.cluster.read(findings) {
        builder = builder.cluster(cluster);
    }
    for listener in listen::read(&document.listen, files, findings) {
        builder = builder.listener(listener);
    }
    let keys = api_keys::read(&document.api_keys, files, findings);
    let has_keys = !document.api_keys.is_empty();
    if let Some(identity) = document.identity.read(keys, has_keys, files, findings) {
        builder = builder.identity(identity);
    }
    for (name, table) in &document.plans {
        let (Some(_), Some(plan)) = (
            findings.parse::<PlanId>(name),
            table.read(name, known, findings),
        ) else {
            continue;
        };
        builder = match builder.plan((**name).as_ref(), plan) {
            Ok(builder) => builder,
            Err(error) => {
                findings.add(Finding::new(name.span(), error));
                return Plan::builder();
            }
        };
    }
    for (name, table) in &document.services {
        if let Some(service) = table.read(name, known, findings) {
            builder = builder.service(service);
        }
    }
    read_pools(document, builder, findings)
}

fn read_pools(document: &Document, mut builder: Builder, findings: &mut Findings<'_>) -> Builder {
    for (name, table) in &document.pools {
        let (id, alert) = match table.read(name, findings) {
            Some(pools::Read::Fronted(spec, alert)) => {
                let id = spec.id.clone();
                builder = builder.pool(spec);
                (id, alert)
            }
            Some(pools::Read::Connections(pool, alert)) => {
                let id = pool.id().clone();
                builder = builder.tcp_pool(*pool);
                (id, alert)
            }
            Some(pools::Read::Declared(id)) => {
                builder = builder.declared_pool(id);
                continue;
            }
            None => continue,
        };
        if let Some(alert) = alert {
            builder = builder.alert(id, alert);
        }
    }
    builder
}
