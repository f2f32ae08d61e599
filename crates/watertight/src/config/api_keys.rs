//! `[api-keys.NAME]`: keys that prove who calls.

use std::collections::HashSet;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    class::Class,
    files::Files,
    findings::{Finding, Findings},
    located::{Located, Named},
};

/// A key that proves who calls.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApiKey {
    /// A file with the key, of at least 16 bytes; several, one a line, so that keys can be
    /// rotated.
    file: Located<String>,
    /// The tenant whom it is for.
    pub(super) tenant: Located<String>,
    /// The class of its requests. Default: ordinary.
    class: Option<Class>,
}

/// All keys; no two may be the same.
pub(super) fn read(
    named: &Named<ApiKey>,
    files: &Files<'_>,
    findings: &mut Findings<'_>,
) -> Vec<watertight_plan::ApiKey> {
    let mut keys: Vec<watertight_plan::ApiKey> = Vec::new();
    let mut seen: HashSet<Vec<u8>> = HashSet::new();
    for (name, table) in named {
        let Some(key) = table.read(name.as_ref(), files, findings) else {
            continue;
        };
        if key.keys.iter().any(|key| seen.contains(key.expose())) {
            let message = "a key in this file is also in the file of another";
            findings.add(Finding::new(table.file.span(), message));
        }
        seen.extend(key.keys.iter().map(|key| key.expose().to_vec()));
        keys.push(key);
    }
    keys
}

impl ApiKey {
    fn read(
        &self,
        name: &str,
        files: &Files<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::ApiKey> {
        let keys = files.keys(&self.file, findings);
        let tenant = findings.parse(&self.tenant);
        Some(watertight_plan::ApiKey {
            name: name.to_owned(),
            keys: keys?,
            tenant: tenant?,
            class: self.class.unwrap_or_default().into(),
        })
    }
}
