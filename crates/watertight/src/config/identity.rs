//! `[identity]`: how a request's tenant is found, and who is believed.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::Deserialize;
use watertight_plan::{ApiKey, Jwt, Secret, Source, Unknown};

use super::{
    files::Files,
    findings::{Finding, Findings},
    located::{Located, if_written},
    source,
};

/// How a request's tenant is found, and who is believed.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    /// Where a tenant's name may stand, in order: "jwt:CLAIM", "api-key", "header:NAME",
    /// "host:{tenant}.shop.example", "path:/t/{tenant}/". The first that names a tenant wins; a
    /// request whose sources disagree is refused. Default: ["header:x-tenant-id"].
    #[schemars(length(min = 1, max = 8))]
    tenant: Option<Vec<Located<String>>>,
    /// Networks and addresses whose tenant and forwarding headers count; from others they are
    /// stripped. Default: ["127.0.0.0/8", "::1"].
    #[schemars(length(max = 256))]
    trusted: Option<Vec<Located<String>>>,
    /// "refuse", or the plan that tenants whom nobody listed are on. Default: refuse.
    #[schemars(example = &"refuse")]
    pub(super) unknown: Option<Located<String>>,
    /// Lanes that unlisted tenants share; each has limits and queues of its own, and a tenant
    /// always falls on the same one. Default: 1024.
    #[schemars(range(min = 1, max = 65_536))]
    unlisted_lanes: Option<u32>,
    /// How JSON Web Tokens are checked; needed by the source "jwt:CLAIM".
    jwt: Option<JwtTable>,
}

/// How JSON Web Tokens (RFC 7519) are checked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JwtTable {
    /// A file with a JWK set (RFC 7517), PEM public keys, or an HMAC secret.
    keys: Located<String>,
    /// The `iss` to demand. Default: any.
    issuer: Option<String>,
    /// The `aud` to demand. Default: any.
    audience: Option<String>,
}

impl Identity {
    /// The word that refuses unlisted tenants.
    pub(super) const REFUSE: &'static str = "refuse";

    /// The fields that name tenants.
    pub(super) fn headers(&self) -> Vec<String> {
        let written = self.tenant.iter().flatten();
        let sources: Vec<Source> = match &self.tenant {
            Some(_) => written
                .filter_map(|text| source::parse(text).ok())
                .collect(),
            None => watertight_plan::Identity::default().sources,
        };
        let names = sources.into_iter().filter_map(|source| match source {
            Source::Header { name } => Some(name),
            _ => None,
        });
        names.collect()
    }

    pub(super) fn read(
        &self,
        api_keys: Vec<ApiKey>,
        has_api_keys: bool,
        files: &Files<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<watertight_plan::Identity> {
        let defaults = watertight_plan::Identity::default();
        let sources = self.read_sources(has_api_keys, findings);
        let trusted = match &self.trusted {
            Some(networks) => read_networks(networks, findings),
            None => Some(defaults.trusted),
        };
        let unknown = match &self.unknown {
            Some(word) if **word != Self::REFUSE => findings.parse(word).map(Unknown::Plan),
            _ => Some(Unknown::Refuse),
        };
        let jwt = if_written(self.jwt.as_ref(), |jwt| {
            Some(Jwt {
                keys: Secret::new(files.secret(&jwt.keys, findings)?),
                issuer: jwt.issuer.clone(),
                audience: jwt.audience.clone(),
            })
        });
        Some(watertight_plan::Identity {
            sources: sources?,
            trusted: trusted?,
            unknown: unknown?,
            unlisted_lanes: match self.unlisted_lanes {
                Some(lanes) => usize::try_from(lanes).ok()?,
                None => defaults.unlisted_lanes,
            },
            api_keys,
            jwt: jwt?,
        })
    }

    fn read_sources(&self, has_api_keys: bool, findings: &mut Findings<'_>) -> Option<Vec<Source>> {
        let Some(written) = &self.tenant else {
            return Some(watertight_plan::Identity::default().sources);
        };
        let mut sources: Vec<Source> = Vec::new();
        for text in written {
            let source = match source::parse(text) {
                Ok(source) => source,
                Err(help) => {
                    let message = "this is not a source of tenants";
                    findings.add(Finding::new(text.span(), message).help(help));
                    continue;
                }
            };
            let lack = match &source {
                Source::Jwt { .. }
                    if self.jwt.is_none() && !findings.was_taken_out("identity.jwt") =>
                {
                    Some((
                        "tokens are to be checked, but not how",
                        "add [identity.jwt]",
                    ))
                }
                Source::ApiKey if !has_api_keys && !findings.was_taken_out("api-keys") => Some((
                    "keys are to be checked, but there are none",
                    "add [api-keys.NAME]",
                )),
                _ if sources.contains(&source) => {
                    Some(("this source is named twice", "leave one out"))
                }
                _ => None,
            };
            match lack {
                Some((message, help)) => {
                    findings.add(Finding::new(text.span(), message).help(help.to_owned()));
                }
                None => sources.push(source),
            }
        }
        (sources.len() == written.len()).then_some(sources)
    }
}

fn read_networks(written: &[Located<String>], findings: &mut Findings<'_>) -> Option<Vec<IpNet>> {
    let mut networks = Vec::new();
    for text in written {
        let network = match text.parse::<IpAddr>() {
            Ok(address) => Some(IpNet::from(address)),
            Err(_) => text.parse::<IpNet>().ok(),
        };
        match network {
            Some(network) => {
                if network.prefix_len() == 0 {
                    findings.note(text.span(), "every peer is trusted to name any tenant");
                }
                networks.push(network.trunc());
            }
            None => {
                let message = "this is not a network or an address";
                findings.add(Finding::new(text.span(), message).help(
                    "in CIDR notation, or a single address: \"10.0.0.0/8\", \"::1\"".to_owned(),
                ));
            }
        }
    }
    (networks.len() == written.len()).then_some(networks)
}
