//! `[listen.NAME]`: where the node can be reached, by whom, and how much a listener takes.

use std::{borrow::Cow, collections::BTreeMap, net::SocketAddr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use watertight_plan::{Admin, ListenLimits, Listener, ListenerKind};

use super::{
    cluster,
    duration::{self, DAY, DurationText, HOUR, MILLISECOND},
    files::Files,
    findings::{Finding, Findings},
    located::{Located, Span, if_written},
    nearest::did_you_mean,
    size::{GIB, KIB, MIB, Size},
    tls::Tls,
};

/// A listener.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listen {
    /// Address and port; port 0 takes a free one. Default: 127.0.0.1:8080 for `traffic`,
    /// 127.0.0.1:7070 for `admin`, 127.0.0.1:8000 for `heartbeat`, 127.0.0.1:7946 for `gossip`; the
    /// others need one. Beyond loopback, `traffic` needs `tls` or `plaintext`, `admin` a token or
    /// mutual TLS, `heartbeat` its token and `gossip` its keys.
    #[schemars(example = &"127.0.0.1:8080")]
    pub(super) bind: Option<Located<String>>,
    /// Only services of this tier, accepted and served on its threads alone. For traffic listeners.
    /// Default: all tiers.
    #[schemars(range(min = 1, max = 3))]
    tier: Option<Located<u64>>,
    /// Says that cleartext beyond loopback is meant. For traffic listeners.
    plaintext: Option<Located<Plaintext>>,
    /// The certificate to serve, and whose certificates to ask for. Default: none.
    tls: Option<Located<Tls>>,
    /// A file with the bearer token to ask for. For the admin listener; for the heartbeat listener,
    /// where it is the key that may beat and read who is alive, and nothing else. Default: none.
    token_file: Option<Located<String>>,
    /// The keys of the cluster, of which the first seals and all open. A new one is added at the end
    /// everywhere, then put first everywhere, and then the old one is taken out. For the gossip
    /// listener. Default: none.
    #[schemars(length(min = 1, max = 8))]
    keys: Option<Located<Vec<cluster::Key>>>,
    /// Whether faults may be injected through `/v1/faults`, each for 5s at a time, so that drills can
    /// show what a slow or dead service does. For the admin listener. Default: false.
    faults: Option<Located<bool>>,
    /// Connections at once; further ones wait in the kernel's queue. Default: 8192.
    #[schemars(range(min = 1, max = 1_000_000))]
    max_connections: Option<u32>,
    /// A request's line and headers, 8KiB to 1MiB; more is answered 431. Default: 32KiB.
    max_header: Option<Located<Size>>,
    /// A request's body, up to 1024GiB, or "unlimited"; more is answered 413. Default: 64MiB.
    max_body: Option<Located<Size>>,
    /// The time for a request's head to arrive, 1ms to 1h. Default: 10s.
    header_timeout: Option<Located<DurationText>>,
    /// Bytes a second that a request's body brings at least, while it is waited for, over any 10s;
    /// slower ones are answered 408, calls of gRPC aside. A client that takes fewer of its answer
    /// over `idle_timeout` is left. 0 allows any. Default: 240.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    min_rate: Option<u64>,
    /// The longest silence: between requests, within a body, from a reader, 1ms to 1d. Pings of
    /// HTTP/2 do not break one between requests. Default: 60s.
    idle_timeout: Option<Located<DurationText>>,
}

/// What cleartext beyond loopback is for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Plaintext {
    /// A balancer in front ends TLS.
    BehindBalancer,
}

/// The name of a listener, which says what it is for.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(transparent)]
pub(super) struct ListenName(String);

impl ListenName {
    const ADMIN: &'static str = "admin";
    const GOSSIP: &'static str = "gossip";
    const HEARTBEAT: &'static str = "heartbeat";
    const TRAFFIC: &'static str = "traffic";

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    fn is_traffic(&self) -> bool {
        let suffix = self.0.strip_prefix(Self::TRAFFIC);
        suffix.is_some_and(|suffix| match suffix.strip_prefix('-') {
            Some(name) => {
                (1..=48).contains(&name.len())
                    && name
                        .bytes()
                        .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            }
            None => suffix.is_empty(),
        })
    }
}

impl JsonSchema for ListenName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ListenName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(admin|gossip|heartbeat|traffic(-[A-Za-z0-9._-]{1,48})?)$",
        })
    }
}

/// The listeners that are named, and those that open by themselves; in the order of their names.
pub(super) fn read(
    named: &BTreeMap<Located<ListenName>, Listen>,
    files: &Files<'_>,
    findings: &mut Findings<'_>,
) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = named
        .iter()
        .filter_map(|(name, listen)| listen.read(name, files, findings))
        .collect();
    let defaults = [
        (ListenName::ADMIN, ListenerKind::Admin(Admin::default())),
        (
            ListenName::TRAFFIC,
            ListenerKind::Traffic {
                tier: None,
                behind_balancer: false,
            },
        ),
    ];
    for (name, kind) in defaults {
        if !named.keys().any(|given| given.as_str() == name) {
            listeners.extend(default_bind(name).map(|bind| Listener {
                name: name.to_owned(),
                bind,
                kind,
                tls: None,
                limits: ListenLimits::default(),
            }));
        }
    }
    listeners.sort_by(|one, other| one.name.cmp(&other.name));
    listeners
}

fn default_bind(name: &str) -> Option<SocketAddr> {
    match name {
        ListenName::ADMIN => Some(SocketAddr::from(([127, 0, 0, 1], 7_070))),
        ListenName::GOSSIP => Some(SocketAddr::from(([127, 0, 0, 1], 7_946))),
        ListenName::HEARTBEAT => Some(SocketAddr::from(([127, 0, 0, 1], 8_000))),
        ListenName::TRAFFIC => Some(SocketAddr::from(([127, 0, 0, 1], 8_080))),
        _ => None,
    }
}

impl Listen {
    fn read(
        &self,
        name: &Located<ListenName>,
        files: &Files<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<Listener> {
        let bind = self.read_bind(name, findings);
        let kind = match name.as_str() {
            ListenName::ADMIN => self.read_admin(files, findings),
            ListenName::GOSSIP => self.read_gossip(files, findings),
            ListenName::HEARTBEAT => self.read_heartbeat(files, findings),
            _ if name.is_traffic() => self.read_traffic(findings),
            _ => {
                unknown(name, findings);
                return None;
            }
        };
        let tls = if_written(self.tls.as_ref(), |tls| tls.read(files, findings));
        let limits = self.read_limits(findings);
        Some(Listener {
            name: name.as_str().to_owned(),
            bind: bind?,
            kind: kind?,
            tls: tls?,
            limits: limits?,
        })
    }

    fn read_bind(
        &self,
        name: &Located<ListenName>,
        findings: &mut Findings<'_>,
    ) -> Option<SocketAddr> {
        let Some(bind) = &self.bind else {
            let default = default_bind(name.as_str());
            let path = format!("listen.{}", name.as_str());
            let was_there = findings.was_taken_out(&format!("{path}.bind"));
            if default.is_none() && name.is_traffic() && !was_there {
                let message = format!("`{path}` lacks `bind`");
                findings.add(Finding::new(name.span(), message).label("`bind` is missing here"));
            }
            return default;
        };
        let address = bind.parse().ok();
        if address.is_none() {
            let finding = Finding::new(bind.span(), "this is not an address to bind");
            findings.add(
                finding.help(
                    "an IP address and a port: \"127.0.0.1:8080\", \"[::1]:8080\"".to_owned(),
                ),
            );
        }
        address
    }

    fn read_traffic(&self, findings: &mut Findings<'_>) -> Option<ListenerKind> {
        if let Some(token) = &self.token_file {
            let finding = Finding::new(token.span(), "a traffic listener asks for no token");
            findings.add(finding.help("`token_file` is for the admin listener".to_owned()));
        }
        refuse(
            "a traffic listener",
            [("keys", span_of(&self.keys))],
            findings,
        );
        if let Some(faults) = &self.faults {
            let finding = Finding::new(
                faults.span(),
                "faults are injected through no traffic listener",
            );
            findings.add(finding.help("`faults` is for the admin listener".to_owned()));
        }
        if let Some(plaintext) = &self.plaintext {
            findings.note(
                plaintext.span(),
                "cleartext beyond loopback: a balancer in front must end TLS, and nobody else may \
                 reach this listener",
            );
        }
        Some(ListenerKind::Traffic {
            tier: if_written(self.tier.as_ref(), |tier| findings.number(tier))?,
            behind_balancer: self.plaintext.is_some(),
        })
    }

    fn read_admin(&self, files: &Files<'_>, findings: &mut Findings<'_>) -> Option<ListenerKind> {
        let misplaced = [
            ("tier", span_of(&self.tier)),
            ("plaintext", span_of(&self.plaintext)),
            ("keys", span_of(&self.keys)),
        ];
        refuse("the admin listener", misplaced, findings);
        let token = if_written(self.token_file.as_ref(), |path| files.token(path, findings))?;
        let faults = self.faults.as_ref().filter(|faults| ***faults);
        if let Some(faults) = faults {
            findings.note(
                faults.span(),
                "faults may be injected on purpose: whoever may use this listener can make services \
                 fail, 5s at a time",
            );
        }
        let faults = faults.is_some();
        Some(ListenerKind::Admin(Admin { token, faults }))
    }

    fn read_heartbeat(
        &self,
        files: &Files<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<ListenerKind> {
        let misplaced = [
            ("tier", span_of(&self.tier)),
            ("plaintext", span_of(&self.plaintext)),
            ("faults", span_of(&self.faults)),
            ("keys", span_of(&self.keys)),
        ];
        refuse("the heartbeat listener", misplaced, findings);
        let key = if_written(self.token_file.as_ref(), |path| files.token(path, findings))?;
        Some(ListenerKind::Heartbeat { key })
    }

    fn read_gossip(&self, files: &Files<'_>, findings: &mut Findings<'_>) -> Option<ListenerKind> {
        let misplaced = [
            ("tier", span_of(&self.tier)),
            ("plaintext", span_of(&self.plaintext)),
            ("faults", span_of(&self.faults)),
            ("token_file", span_of(&self.token_file)),
            ("tls", span_of(&self.tls)),
            ("max_header", span_of(&self.max_header)),
            ("max_body", span_of(&self.max_body)),
            ("header_timeout", span_of(&self.header_timeout)),
            ("idle_timeout", span_of(&self.idle_timeout)),
        ];
        refuse(
            "the gossip listener, which takes datagrams",
            misplaced,
            findings,
        );
        let keys = if_written(self.keys.as_ref(), |keys| {
            cluster::read_keys(keys, files, findings)
        })?;
        Some(ListenerKind::Gossip {
            keys: keys.unwrap_or_default(),
        })
    }

    fn read_limits(&self, findings: &mut Findings<'_>) -> Option<ListenLimits> {
        let defaults = ListenLimits::default();
        let header = match &self.max_header {
            Some(size) => size
                .read(8 * KIB..=MIB, findings)
                .and_then(|bytes| usize::try_from(bytes).ok()),
            None => Some(defaults.max_header_bytes),
        };
        let body = match &self.max_body {
            Some(size) if size.is_unlimited() => Some(u64::MAX),
            Some(size) => size.read(0..=1_024 * GIB, findings),
            None => Some(defaults.max_body_bytes),
        };
        let header_timeout = duration::or_default(
            self.header_timeout.as_ref(),
            defaults.header_timeout,
            MILLISECOND..=HOUR,
            findings,
        );
        let idle_timeout = duration::or_default(
            self.idle_timeout.as_ref(),
            defaults.idle_timeout,
            MILLISECOND..=DAY,
            findings,
        );
        Some(ListenLimits {
            max_connections: match self.max_connections {
                Some(max) => usize::try_from(max).ok()?,
                None => defaults.max_connections,
            },
            max_header_bytes: header?,
            max_body_bytes: body?,
            min_rate: self.min_rate.unwrap_or(defaults.min_rate),
            header_timeout: header_timeout?,
            idle_timeout: idle_timeout?,
        })
    }
}

fn unknown(name: &Located<ListenName>, findings: &mut Findings<'_>) {
    let names = [
        ListenName::ADMIN,
        ListenName::GOSSIP,
        ListenName::HEARTBEAT,
        ListenName::TRAFFIC,
    ];
    let list = "listeners are called `admin`, `gossip`, `heartbeat`, `traffic`, or `traffic-` and a \
                name";
    let finding = Finding::new(
        name.span(),
        format!("there is no listener `{}`", name.as_str()),
    );
    findings.add(finding.help(match did_you_mean(name.as_str(), names) {
        Some(nearest) => format!("{nearest} {list}"),
        None => list.to_owned(),
    }));
}

fn span_of<T>(written: &Option<Located<T>>) -> Option<&Span> {
    written.as_ref().map(Located::span)
}

/// Reports keys that are written and have no meaning for a listener.
fn refuse<const N: usize>(
    listener: &str,
    keys: [(&str, Option<&Span>); N],
    findings: &mut Findings<'_>,
) {
    for (key, span) in keys {
        if let Some(span) = span {
            let message = format!("`{key}` has no meaning for {listener}");
            findings.add(Finding::new(span, message).help("leave it out".to_owned()));
        }
    }
}
