//! What pools of kind "tcp" have besides their walls: doors, upstreams, and how long a connection
//! may be silent.

use std::net::SocketAddr;

use watertight_guard::pool::PoolSpec;
use watertight_plan::{Address, Caller, TcpDoor, TcpPool};

use super::{
    breaker::Breaker,
    compartments::Compartment,
    duration::{self, DAY, MILLISECOND, MINUTE, SECOND},
    findings::{Finding, Findings},
    located::{Located, Name, Named, Span, if_written},
    pools::Pool,
    upstream,
};

impl Pool {
    /// The pool of connections with the walls of `spec`.
    pub(super) fn read_tcp(
        &self,
        name: &Located<Name>,
        spec: Option<PoolSpec>,
        findings: &mut Findings<'_>,
    ) -> Option<TcpPool> {
        let upstreams = self.read_addresses(name, findings);
        let doors = self.read_doors(findings);
        if let Some(plaintext) = &self.plaintext {
            findings.note(
                plaintext.span(),
                "doors beyond loopback: whoever reaches one of them is taken for its service",
            );
        }
        if let Some(reserve) = &self.reserve
            && self.operations.is_none()
        {
            let message = "nobody can sit in this reserve: the pool has no `operations`";
            findings.note(reserve.span(), message);
        }
        let connect_timeout = duration::or_default(
            self.connect_timeout.as_ref(),
            TcpPool::CONNECT_TIMEOUT_DEFAULT,
            MILLISECOND..=MINUTE,
            findings,
        );
        let idle_timeout = duration::or_default(
            self.idle_timeout.as_ref(),
            TcpPool::IDLE_TIMEOUT_DEFAULT,
            SECOND..=30 * DAY,
            findings,
        );
        let max_lifetime = if_written(self.max_lifetime.as_ref(), |span| {
            span.read(SECOND..=30 * DAY, findings)
        });
        let calls_end = connect_timeout.unwrap_or(TcpPool::CONNECT_TIMEOUT_DEFAULT);
        let breaker = match &self.breaker {
            Some(breaker) => {
                breaker.refuse_of_requests(findings);
                breaker.read(calls_end, findings)
            }
            None => Breaker::default().read(calls_end, findings),
        };
        Some(TcpPool {
            doors: doors?,
            connect_timeout: connect_timeout?,
            idle_timeout: Some(idle_timeout?),
            max_lifetime: max_lifetime?,
            breaker: breaker?.0,
            behind_balancer: self.plaintext.is_some(),
            ..TcpPool::new(spec?, upstreams?)
        })
    }

    fn read_addresses(
        &self,
        name: &Located<Name>,
        findings: &mut Findings<'_>,
    ) -> Option<Vec<Address>> {
        let mut addresses: Vec<Address> = Vec::new();
        for text in &self.upstreams {
            match upstream::parse_address(text) {
                Ok(address) if addresses.contains(&address) => {
                    findings.add(Finding::new(text.span(), "this upstream is named twice"));
                }
                Ok(address) => addresses.push(address),
                Err((message, help)) => {
                    findings.add(Finding::new(text.span(), message).help(help.to_owned()));
                }
            }
        }
        let path = format!("pools.{}.upstreams", **name);
        if self.upstreams.is_empty() && !findings.was_taken_out(&path) {
            let message = format!("`pools.{}` lacks `upstreams`", **name);
            findings.add(
                Finding::new(name.span(), message)
                    .label("`upstreams` is missing here")
                    .help("`upstreams`: where connections go, [\"host:port\"]".to_owned()),
            );
        }
        let is_whole = addresses.len() == self.upstreams.len();
        (is_whole && !addresses.is_empty()).then_some(addresses)
    }

    fn read_doors(&self, findings: &mut Findings<'_>) -> Option<Vec<TcpDoor>> {
        let mut doors = Vec::new();
        let mut is_whole = true;
        for (name, bind) in self.compartments.values().flat_map(|part| &part.binds) {
            let (service, bind) = (findings.parse(name), read_bind(bind, findings));
            match (service, bind) {
                (Some(service), Some(bind)) => doors.push(TcpDoor {
                    bind,
                    caller: Caller::Service(service),
                }),
                _ => is_whole = false,
            }
        }
        if let Some(bind) = &self.operations {
            match read_bind(bind, findings) {
                Some(bind) => doors.push(TcpDoor {
                    bind,
                    caller: Caller::Operations,
                }),
                None => is_whole = false,
            }
        }
        is_whole.then_some(doors)
    }

    /// What speaks of connections has no meaning where there are none.
    pub(super) fn refuse_tcp(&self, findings: &mut Findings<'_>) {
        let written: [(&str, Option<&Span>); 8] = [
            ("upstreams", self.upstreams.first().map(Located::span)),
            ("operations", self.operations.as_ref().map(Located::span)),
            ("plaintext", self.plaintext.as_ref().map(Located::span)),
            (
                "connect_timeout",
                self.connect_timeout.as_ref().map(Located::span),
            ),
            (
                "idle_timeout",
                self.idle_timeout.as_ref().map(Located::span),
            ),
            (
                "max_lifetime",
                self.max_lifetime.as_ref().map(Located::span),
            ),
            ("breaker", self.breaker.as_ref().map(Located::span)),
            ("binds", first_bind(&self.compartments)),
        ];
        for (key, span) in written {
            let Some(span) = span else { continue };
            let message = format!("`{key}` has no meaning in a pool of this kind");
            findings.add(
                Finding::new(span, message)
                    .help("leave it out, or make the pool one of kind \"tcp\"".to_owned()),
            );
        }
    }
}

fn first_bind(compartments: &Named<Compartment>) -> Option<&Span> {
    let mut binds = compartments.values().flat_map(|part| part.binds.keys());
    binds.next().map(Located::span)
}

fn read_bind(bind: &Located<String>, findings: &mut Findings<'_>) -> Option<SocketAddr> {
    let address = bind.parse().ok();
    if address.is_none() {
        let finding = Finding::new(bind.span(), "this is not an address to bind");
        findings.add(
            finding.help("an IP address and a port: \"127.0.0.1:6380\", \"[::1]:6380\"".to_owned()),
        );
    }
    address
}
