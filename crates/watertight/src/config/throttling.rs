//! `[throttling]`: what limits have in common.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_plan::LimitStore;

use super::{
    findings::{Finding, Findings},
    located::Located,
    size::{GIB, KIB, Size},
};

/// What limits have in common.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Throttling {
    /// Callers at once that tables have places for, beyond those with a place of their own; in each
    /// of two tables, of which one is for callers whom anybody can invent. For limits that all nodes
    /// count there are four more. Default: 65536.
    #[schemars(range(min = 1_024, max = 16_777_216))]
    keys: Option<u32>,
    /// Requests of such callers that sliding logs remember in all. Default: 262144.
    #[schemars(range(min = 1_024, max = 16_777_216))]
    log_entries: Option<u32>,
    /// Bytes of last good answers that are kept in all, 64KiB to 16GiB. Default: 32MiB.
    stale_bytes: Option<Located<Size>>,
    /// Bytes of last good answers that are kept for each tenant, 1KiB to 1GiB; no more than
    /// `stale_bytes`. Default: 256KiB.
    stale_bytes_per_tenant: Option<Located<Size>>,
    /// The headers by which answers tell a caller where it stands; [] for none.
    /// Default: ["ratelimit"].
    #[schemars(length(max = 2))]
    headers: Option<Vec<Located<Header>>>,
}

/// Headers of answers.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Header {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
    Ratelimit,
    /// `X-RateLimit-Limit`, `-Remaining` and `-Reset`, as older clients read them.
    #[serde(rename = "x-ratelimit")]
    XRatelimit,
}

impl Throttling {
    pub(super) fn read(
        &self,
        store: Option<LimitStore>,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Throttling> {
        let defaults = watertight_plan::Throttling::default();
        let stale_bytes = match &self.stale_bytes {
            Some(size) => bytes(size.read(64 * KIB..=16 * GIB, findings)?),
            None => defaults.stale_bytes,
        };
        let stale_bytes_per_tenant = match &self.stale_bytes_per_tenant {
            Some(size) => bytes(size.read(KIB..=GIB, findings)?),
            None => defaults.stale_bytes_per_tenant.min(stale_bytes),
        };
        if let Some(size) = &self.stale_bytes_per_tenant
            && stale_bytes_per_tenant > stale_bytes
        {
            let message = format!(
                "{stale_bytes_per_tenant} bytes for each tenant are more than the {stale_bytes} in all"
            );
            let help = "raise `stale_bytes`, or lower this".to_owned();
            findings.add(Finding::new(size.span(), message).help(help));
        }
        let has = |header: Header| match &self.headers {
            Some(headers) => headers.iter().any(|written| **written == header),
            None => header == Header::Ratelimit,
        };
        for (index, header) in self.headers.iter().flatten().enumerate() {
            if self
                .headers
                .iter()
                .flatten()
                .take(index)
                .any(|earlier| earlier == header)
            {
                findings.add(Finding::new(header.span(), "this word stands here twice"));
            }
        }
        let number = |written: Option<u32>, default: usize| match written {
            Some(number) => usize::try_from(number).unwrap_or(default),
            None => default,
        };
        Some(watertight_plan::Throttling {
            keys: number(self.keys, defaults.keys),
            log_entries: number(self.log_entries, defaults.log_entries),
            stale_bytes_per_tenant,
            stale_bytes,
            has_draft_headers: has(Header::Ratelimit),
            has_legacy_headers: has(Header::XRatelimit),
            store,
        })
    }
}

/// `bytes` as a size in memory, cut to what there can be.
fn bytes(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
