//! `[stores.NAME]`: engines outside of the node. `[stores.redis]` is where nodes count limits
//! together; it needs a binary that was built with the feature `engines`.

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_plan::LimitStore;

use super::{
    duration::{self, DurationText, MILLISECOND, MINUTE},
    files::Files,
    findings::{Finding, Findings},
    located::{Located, if_written},
    upstream,
};

/// Engines outside of the node.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Stores {
    /// A Redis (or a server that speaks its protocol) in which nodes count limits together; needs a
    /// binary built with the feature `engines`.
    pub(super) redis: Option<Located<Redis>>,
}

/// A Redis.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redis {
    /// Where it is: "redis://host:port", or "redis://host:port/database".
    url: Located<String>,
    /// A file with its password. Default: none.
    password_file: Option<Located<String>>,
    /// What its keys begin with, up to 64 letters, digits and ". _ - :"; nodes that count together
    /// have the same. Default: watertight.
    prefix: Option<Located<String>>,
    /// How long an answer may take before a node goes on without it, 1ms to 1m. Default: 50ms.
    timeout: Option<Located<DurationText>>,
    /// How many nodes there are while the store has not said. Default: 1.
    #[schemars(range(min = 1, max = 10_000))]
    nodes: Option<u32>,
}

/// Whether this binary can use engines.
pub(super) const HAS_ENGINES: bool = cfg!(feature = "engines");
const FORM: &str = "\"redis://host:port\", or \"redis://host:port/database\"";
const PREFIX_MAX: usize = 64;
const DATABASE_MAX: u32 = 65_535;

/// What to do when a store is needed.
pub(super) fn how_to_name_one() -> String {
    if HAS_ENGINES {
        "add a table [stores.redis] with its `url`".to_owned()
    } else {
        "add a table [stores.redis] with its `url`, and use a binary built with the feature \
         `engines`, which this one is not"
            .to_owned()
    }
}

impl Stores {
    /// The store of limits, if one is named; nothing when what is written is wrong.
    pub(super) fn read(
        &self,
        files: &Files<'_>,
        findings: &mut Findings<'_>,
    ) -> Option<Option<LimitStore>> {
        if_written(self.redis.as_ref(), |redis| {
            if HAS_ENGINES {
                return redis.read(files, findings);
            }
            let message = "this binary was built without `engines`, and so knows no Redis";
            let finding = Finding::new(redis.span(), message).label("not in this binary");
            findings.add(finding.help(
                "build it with `--features engines`, or leave out this table and every `cluster`"
                    .to_owned(),
            ));
            None
        })
    }
}

impl Redis {
    fn read(&self, files: &Files<'_>, findings: &mut Findings<'_>) -> Option<LimitStore> {
        let url = match url(&self.url) {
            Ok(url) => Some(url),
            Err((message, help)) => {
                findings.add(Finding::new(self.url.span(), message).help(help.to_owned()));
                None
            }
        };
        let password = if_written(self.password_file.as_ref(), |path| {
            files.password(path, findings)
        });
        let prefix = match &self.prefix {
            Some(prefix) => read_prefix(prefix, findings),
            None => Some(LimitStore::PREFIX_DEFAULT.to_owned()),
        };
        let timeout = duration::or_default(
            self.timeout.as_ref(),
            LimitStore::TIMEOUT_DEFAULT,
            MILLISECOND..=MINUTE,
            findings,
        );
        Some(LimitStore {
            url: url?,
            password: password?,
            prefix: prefix?,
            timeout: timeout?,
            nodes: self.nodes.unwrap_or(1),
        })
    }
}

/// The address in full: `redis://host:port/database`.
fn url(text: &str) -> Result<String, (&'static str, &'static str)> {
    let Some(rest) = text.strip_prefix("redis://") else {
        return Err(if text.starts_with("rediss://") {
            (
                "TLS to Redis is not built yet in this version",
                "use \"redis://host:port\" on a network that you trust",
            )
        } else {
            ("this is not the address of a Redis", FORM)
        });
    };
    if rest.contains('@') {
        return Err((
            "the address of a Redis has no user and no password",
            "write the password to a file, and name that in `password_file`",
        ));
    }
    let (authority, database) = match rest.split_once('/') {
        Some((authority, "")) => (authority, "0"),
        Some((authority, database)) => (authority, database),
        None => (rest, "0"),
    };
    let digits = database.bytes().all(|byte| byte.is_ascii_digit());
    let database: u32 = match database.parse() {
        Ok(number) if digits && number <= DATABASE_MAX => number,
        _ => return Err(("this is not the number of a database of a Redis", FORM)),
    };
    let host = match upstream::parse(&format!("http://{authority}")) {
        Ok(host) => host.authority(),
        Err((_, _)) => return Err(("this is not the host and the port of a Redis", FORM)),
    };
    Ok(format!("redis://{host}/{database}"))
}

fn read_prefix(prefix: &Located<String>, findings: &mut Findings<'_>) -> Option<String> {
    let in_prefix = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
    if (1..=PREFIX_MAX).contains(&prefix.len()) && prefix.bytes().all(in_prefix) {
        return Some((**prefix).clone());
    }
    let finding = Finding::new(prefix.span(), "this cannot be what keys begin with");
    let help = format!("1 to {PREFIX_MAX} letters, digits and \". _ - :\"");
    findings.add(finding.help(help));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_redis_has_a_host_a_port_and_a_database() {
        for (text, full) in [
            ("redis://127.0.0.1:6379", "redis://127.0.0.1:6379/0"),
            ("redis://a.b:1/", "redis://a.b:1/0"),
            ("redis://[::1]:6379/15", "redis://[::1]:6379/15"),
        ] {
            assert_eq!(url(text).as_deref(), Ok(full));
        }
        for text in [
            "",
            "redis",
            "redis://",
            "redis://host",
            "redis://host:0",
            "redis://host:6379/x",
            "redis://host:6379/+1",
            "redis://host:6379/1/2",
            "redis://host:6379/65536",
            "redis://host:6379?db=1",
            "redis://:secret@host:6379",
            "rediss://host:6379",
            "http://host:6379",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
    }
}
