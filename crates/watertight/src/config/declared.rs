//! `dedicated`, `credentials`, `cpu` and `memory` of a service: what the audit reads, and no node acts upon.

use std::collections::{BTreeMap, HashSet};

use watertight_base::PoolId;
use watertight_plan::Declared;

use super::{
    findings::{Finding, Findings},
    located::{Located, Name, if_written},
    nearest::did_you_mean,
    services::Service,
    size::{GIB, MIB},
};

/// The longest name of something dedicated, or of a credential, in characters.
const NAME_MAX: usize = 128;

/// What is said of a service; nothing when some of it is wrong.
pub(super) fn read(service: &Service, findings: &mut Findings<'_>) -> Option<Declared> {
    let dedicated = if_written(service.dedicated.as_ref(), |names| {
        read_dedicated(names, findings)
    });
    let credentials = read_credentials(&service.credentials, &service.uses, findings);
    let memory_bytes = if_written(service.memory.as_ref(), |size| {
        size.read(MIB..=1_024 * 1_024 * GIB, findings)
    });
    // The schema keeps it between a thousandth and 65,536 cores.
    #[expect(clippy::cast_possible_truncation, reason = "at most 65,536,000")]
    let millicores = |cores: f64| (cores * 1_000.0).round().max(1.0) as i64;
    let cpu = service.cpu.as_ref().map(|cores| millicores(**cores));
    Some(Declared {
        dedicated: dedicated?,
        credentials: credentials?,
        cpu_millicores: cpu.and_then(|millicores| u32::try_from(millicores).ok()),
        memory_bytes: memory_bytes?,
    })
}

fn read_dedicated(names: &[Located<String>], findings: &mut Findings<'_>) -> Option<Vec<String>> {
    let mut seen = HashSet::new();
    let mut are_right = true;
    for name in names {
        are_right &= is_name(name, findings);
        if !seen.insert(&**name) {
            findings.add(Finding::new(name.span(), "this is named twice"));
            are_right = false;
        }
    }
    are_right.then(|| names.iter().map(|name| (**name).clone()).collect())
}

fn read_credentials(
    written: &BTreeMap<Located<Name>, Located<String>>,
    uses: &[Located<String>],
    findings: &mut Findings<'_>,
) -> Option<BTreeMap<PoolId, String>> {
    let mut credentials = BTreeMap::new();
    for (pool, credential) in written {
        let name: &str = (**pool).as_ref();
        if uses.iter().all(|used| **used != name) {
            let message = format!("the service does not use pool {name}");
            let help = did_you_mean(name, uses.iter().map(|used| used.as_str()));
            let finding = Finding::new(pool.span(), message);
            findings.add(finding.label("not in `uses`").help(help));
            continue;
        }
        let is_right = is_name(credential, findings);
        if let Some(pool) = findings.parse::<PoolId>(pool)
            && is_right
        {
            credentials.insert(pool, (**credential).clone());
        }
    }
    (credentials.len() == written.len()).then_some(credentials)
}

/// Whether `name` can be shown in a report.
fn is_name(name: &Located<String>, findings: &mut Findings<'_>) -> bool {
    let length = name.chars().count();
    let is_right = (1..=NAME_MAX).contains(&length) && !name.chars().any(char::is_control);
    if !is_right {
        let message = "this is no name: 1 to 128 characters, none of them a control character";
        findings.add(Finding::new(name.span(), message));
    }
    is_right
}
