//! `[cluster]`: with whom the node shares who is alive, through `[listen.gossip]`.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_plan::{Address, ClusterKey, Secret};

use super::{
    duration::{self, DAY, DurationText, MILLISECOND, MINUTE},
    files::Files,
    findings::{Finding, Findings},
    located::{Located, if_written},
    upstream,
};

/// With whom the node shares who is alive, through `[listen.gossip]`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cluster {
    /// The cluster's name, 1 to 64 bytes: members of another one are not heard. Default: watertight.
    name: Option<Located<String>>,
    /// Gossip listeners of other members, "host:port": where to begin. Default: none.
    #[serde(default)]
    #[schemars(length(max = 64))]
    seeds: Vec<Located<String>>,
    /// Where other members reach this one, an IP address and a port. Default: where it listens.
    advertise: Option<Located<String>>,
    /// Between two probes of another member, 10ms to 1m. Default: 1s.
    interval: Option<Located<DurationText>>,
    /// How long a member may take to answer before others are asked to try, 5ms to 1m; shorter than
    /// `interval`. Default: half of `interval`.
    timeout: Option<Located<DurationText>>,
    /// How long a suspicion lasts at least, as a multiple of `interval` that grows with the logarithm
    /// of the number of members. Default: 4.
    #[schemars(range(min = 1, max = 20))]
    alpha: Option<u32>,
    /// Most members that are remembered, the dead included. Default: 10000.
    #[schemars(range(min = 2, max = 100_000))]
    members: Option<u32>,
    /// For how long the dead and those who left are remembered, 1m to 30d. Default: 1h.
    forget_after: Option<Located<DurationText>>,
}

/// A key of the cluster.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Key {
    /// Its number, the same on every member.
    #[schemars(range(min = 0, max = 255))]
    id: Located<u32>,
    /// A file with its 64 hexadecimal digits.
    file: Located<String>,
}

impl Cluster {
    pub(super) fn read(&self, findings: &mut Findings<'_>) -> Option<watertight_plan::Cluster> {
        let defaults = watertight_plan::Cluster::default();
        let name = match &self.name {
            Some(name) if (1..=NAME_MAX).contains(&name.len()) => Some((**name).clone()),
            Some(name) => {
                let message = format!("a cluster's name has 1 to {NAME_MAX} bytes");
                findings.add(Finding::new(name.span(), message));
                None
            }
            None => Some(defaults.name),
        };
        let seeds: Vec<Address> = self
            .seeds
            .iter()
            .filter_map(|seed| read_seed(seed, findings))
            .collect();
        let advertise = if_written(self.advertise.as_ref(), |address| {
            read_advertised(address, findings)
        });
        let interval = duration::or_default(
            self.interval.as_ref(),
            defaults.interval,
            MILLISECOND * 10..=MINUTE,
            findings,
        )?;
        let timeout = duration::or_default(
            self.timeout.as_ref(),
            interval / 2,
            MILLISECOND * 5..=MINUTE,
            findings,
        )?;
        if let Some(written) = self.timeout.as_ref()
            && timeout >= interval
        {
            let message = "an answer may take less than `interval`, so that others can try";
            findings.add(Finding::new(written.span(), message));
        }
        let forget_after = duration::or_default(
            self.forget_after.as_ref(),
            defaults.forget_after,
            MINUTE..=DAY * 30,
            findings,
        );
        let members = self.members.and_then(|most| usize::try_from(most).ok());
        Some(watertight_plan::Cluster {
            name: name?,
            seeds,
            advertise: advertise?,
            interval,
            timeout,
            alpha: self.alpha.unwrap_or(defaults.alpha),
            members_max: members.unwrap_or(defaults.members_max),
            forget_after: forget_after?,
        })
    }
}

fn read_seed(seed: &Located<String>, findings: &mut Findings<'_>) -> Option<Address> {
    let address = upstream::parse_address(seed).ok();
    if address.is_none() {
        let finding = Finding::new(seed.span(), "this is not where a member listens");
        findings.add(finding.help("\"host:port\", of its gossip listener".to_owned()));
    }
    address
}

fn read_advertised(address: &Located<String>, findings: &mut Findings<'_>) -> Option<SocketAddr> {
    let parsed: Option<SocketAddr> = address.parse().ok();
    let parsed = parsed.filter(|parsed| !parsed.ip().is_unspecified() && parsed.port() != 0);
    if parsed.is_none() {
        let finding = Finding::new(address.span(), "nobody can reach a member there");
        findings.add(finding.help("an IP address and a port: \"10.0.0.1:7946\"".to_owned()));
    }
    parsed
}

/// The keys that are written, in their order: the first seals.
pub(super) fn read_keys(
    keys: &[Key],
    files: &Files<'_>,
    findings: &mut Findings<'_>,
) -> Option<Vec<ClusterKey>> {
    let mut read: Vec<ClusterKey> = Vec::new();
    for key in keys {
        let secret = key.read(files, findings)?;
        if read.iter().any(|other| other.id == secret.id) {
            let finding = Finding::new(key.id.span(), "two keys have this number");
            let help = "numbers tell keys apart while they are changed".to_owned();
            findings.add(finding.help(help));
        }
        read.push(secret);
    }
    Some(read)
}

impl Key {
    fn read(&self, files: &Files<'_>, findings: &mut Findings<'_>) -> Option<ClusterKey> {
        let text = files.secret(&self.file, findings)?;
        let key = from_hex(text.trim_ascii());
        if key.is_none() {
            let message = "a cluster's key is 32 bytes, written as 64 hexadecimal digits";
            let finding = Finding::new(self.file.span(), message);
            findings.add(finding.help("for example `openssl rand -hex 32`".to_owned()));
        }
        Some(ClusterKey {
            id: u8::try_from(*self.id).ok()?,
            key: Secret::new(key?),
        })
    }
}

fn from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (pairs, rest) = text.as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| {
        let byte = digit(*high)? * 16 + digit(*low)?;
        u8::try_from(byte).ok()
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    bytes.filter(|bytes| bytes.len() == KEY_BYTES && rest.is_empty())
}

const NAME_MAX: usize = 64;
const KEY_BYTES: usize = 32;
