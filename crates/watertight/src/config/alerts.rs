//! `[alerts]`: when somebody is told that something fills up, and where.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use watertight_guard::alert::{self, Kind};
use watertight_plan::{Alerting, Webhook};

use super::{
    duration::{self, DAY, DurationText, HOUR, MILLISECOND, MINUTE, SECOND},
    files::Files,
    findings::{Finding, Findings},
    located::{Located, if_written},
    upstream,
};
use crate::alerts::name;

/// When somebody is told that something fills up, and where. From which share of its seats on a pool
/// fills up is said with the pool.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Alerts {
    /// How often everything is looked at, 50ms to 1m. Default: 1s.
    every: Option<Located<DurationText>>,
    /// How long something must be at its mark before its alert fires, 0ms to 1h. Default: 0ms, since an
    /// alert must come before the wall is full.
    after: Option<Located<DurationText>>,
    /// How long it must be well below its mark before the alert is over, 0ms to 1h. Default: 30s.
    hold: Option<Located<DurationText>>,
    /// How long requests may wait for seats, 1ms to 1h. Default: 100ms.
    queue_wait: Option<Located<DurationText>>,
    /// How long a seat may be lent to another compartment, 1ms to 1d. Default: 1m.
    borrowed_for: Option<Located<DurationText>>,
    /// Kinds of alerts that nobody wants to hear of. Default: none.
    #[serde(default, deserialize_with = "name::kinds")]
    #[schemars(schema_with = "name::kinds_schema")]
    off: Vec<Kind>,
    /// Under which address people reach the admin listener, for links in notifications:
    /// "http://host:port". Default: the address that it is bound to.
    external_url: Option<Located<String>>,
    /// Who is told. Default: nobody; alerts show in log, metrics, status and API.
    webhook: Option<Located<Hook>>,
}

/// Who is told of alerts, in the form in which Prometheus' Alertmanager tells its webhooks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Hook {
    /// Where notifications are posted: "http://host:port/path".
    url: Located<String>,
    /// A file with the bearer token that it wants. Default: none.
    token_file: Option<Located<String>>,
    /// How long it may take to answer, 100ms to 5m. Default: 10s.
    timeout: Option<Located<DurationText>>,
    /// How often it is told again of what still fires, 1m to 30d. Default: 4h.
    repeat: Option<Located<DurationText>>,
}

const FORM: &str = "\"http://host:port/path\"";
const URL_MAX: usize = 2_048;

impl Alerts {
    pub(super) fn read(&self, files: &Files<'_>, findings: &mut Findings<'_>) -> Option<Alerting> {
        let defaults = Alerting::default();
        let mut read = |value: Option<&Located<DurationText>>, default, least, most| {
            duration::or_default(value, default, least..=most, findings)
        };
        let board = defaults.board;
        let every = read(
            self.every.as_ref(),
            defaults.every,
            MILLISECOND * 50,
            MINUTE,
        );
        let after = read(self.after.as_ref(), board.after, Duration::ZERO, HOUR);
        let hold = read(self.hold.as_ref(), board.hold, Duration::ZERO, HOUR);
        let queue_wait = read(
            self.queue_wait.as_ref(),
            defaults.queue_wait,
            MILLISECOND,
            HOUR,
        );
        let borrowed_for = read(
            self.borrowed_for.as_ref(),
            defaults.borrowed_for,
            MILLISECOND,
            DAY,
        );
        let external_url = if_written(self.external_url.as_ref(), |url| {
            is_external(url, findings).then(|| url.trim_end_matches('/').to_owned())
        });
        let webhook = if_written(self.webhook.as_ref(), |hook| hook.read(files, findings));
        Some(Alerting {
            every: every?,
            board: alert::Settings {
                after: after?,
                hold: hold?,
                ..board
            },
            queue_wait: queue_wait?,
            borrowed_for: borrowed_for?,
            off: self.off.iter().copied().collect(),
            external_url: external_url?,
            webhook: webhook?,
        })
    }

    /// How long requests may wait for seats, if that is written.
    pub(super) fn queue_wait(&self) -> Option<&Located<DurationText>> {
        self.queue_wait.as_ref()
    }

    /// How long a seat may be lent, if that is written.
    pub(super) fn borrowed_for(&self) -> Option<&Located<DurationText>> {
        self.borrowed_for.as_ref()
    }

    /// Who is told, if anybody is.
    pub(super) fn webhook(&self) -> Option<&Located<Hook>> {
        self.webhook.as_ref()
    }
}

impl Hook {
    fn read(&self, files: &Files<'_>, findings: &mut Findings<'_>) -> Option<Webhook> {
        let place = match place(&self.url) {
            Ok(place) => Some(place),
            Err((message, help)) => {
                findings.add(Finding::new(self.url.span(), message).help(help.to_owned()));
                None
            }
        };
        let token = if_written(self.token_file.as_ref(), |path| files.token(path, findings));
        let timeout = duration::or_default(
            self.timeout.as_ref(),
            Webhook::TIMEOUT_DEFAULT,
            MILLISECOND * 100..=MINUTE * 5,
            findings,
        );
        let repeat = duration::or_default(
            self.repeat.as_ref(),
            Webhook::REPEAT_DEFAULT,
            SECOND * 60..=DAY * 30,
            findings,
        );
        let (host, port, path) = place?;
        Some(Webhook {
            host,
            port,
            path: watertight_plan::Secret::new(path),
            token: token?,
            timeout: timeout?,
            repeat: repeat?,
        })
    }
}

/// The host, the port and the path of a webhook.
fn place(text: &str) -> Result<(String, u16, String), (&'static str, &'static str)> {
    let Some(rest) = text.strip_prefix("http://") else {
        return Err(if text.starts_with("https://") {
            (
                "TLS to webhooks is not built yet in this version",
                "use \"http://host:port/path\" on a network that you trust",
            )
        } else {
            ("this is not the address of a webhook", FORM)
        });
    };
    if rest.contains('#') || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(("this is not the address of a webhook", FORM));
    }
    if text.len() > URL_MAX {
        return Err(("the address of a webhook has at most 2048 characters", FORM));
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err((
            "the address of a webhook has no user and no password",
            "write the token to a file, and name that in `token_file`",
        ));
    }
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.contains(']'));
    let full = if has_port {
        format!("http://{authority}")
    } else {
        format!("http://{authority}:80")
    };
    let host = upstream::parse(&full)
        .map_err(|_| ("this is not the host and the port of a webhook", FORM))?;
    let path = match path.strip_prefix('/') {
        Some(_) => path.to_owned(),
        None => format!("/{path}"),
    };
    Ok((host.host, host.port, path))
}

fn is_external(url: &Located<String>, findings: &mut Findings<'_>) -> bool {
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let is_right = rest.is_some_and(|rest| {
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"\"'<>?#@".contains(&byte);
        !rest.is_empty() && rest.len() <= URL_MAX && rest.bytes().all(is_plain)
    });
    if !is_right {
        let finding = Finding::new(
            url.span(),
            "this is not an address that links can begin with",
        );
        findings.add(finding.help("\"http://host:port\", or \"https://host\"".to_owned()));
    }
    is_right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_webhook_has_a_host_and_perhaps_a_port_and_a_path() {
        for (text, host, port, path) in [
            ("http://a.b", "a.b", 80, "/"),
            ("http://a:9093/x?y=z", "a", 9093, "/x?y=z"),
            ("http://a?y", "a", 80, "/?y"),
            ("http://[::1]/x", "::1", 80, "/x"),
            ("http://[::1]:81", "::1", 81, "/"),
        ] {
            let expected = (host.to_owned(), port, path.to_owned());
            assert_eq!(place(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "a:9093",
            "http://",
            "http:///x",
            "http://a:0/x",
            "http://a:x/",
            "http://u:p@a/x",
            "http://a/x#y",
            "http://a/x y",
            "http://a/\r\nx: y",
            "https://a/x",
            "ftp://a/x",
        ] {
            assert!(place(text).is_err(), "{text}");
        }
    }
}
