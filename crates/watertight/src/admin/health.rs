//! Is the node alive, and does it want work? In the words that Kubernetes' own components use.
//!
//! A rejected reload is no reason to send work elsewhere: the node serves by the configuration that
//! it has. A node that drains is alive, and wants none.

use std::fmt::Write as _;

use http::StatusCode;

use crate::node::Node;

/// One thing that was looked at, and what is wrong with it.
struct Check {
    name: &'static str,
    wrong: Option<&'static str>,
}

/// Whether the process answers; whoever reads this knows.
pub(super) fn live(is_verbose: bool) -> (StatusCode, String) {
    let ping = Check {
        name: "ping",
        wrong: None,
    };
    report("livez", &[ping], is_verbose)
}

/// Whether the node wants work.
pub(super) fn ready(node: &Node, is_verbose: bool) -> (StatusCode, String) {
    let checks = [
        Check {
            name: "config",
            wrong: None,
        },
        Check {
            name: "draining",
            wrong: node
                .is_draining()
                .then_some("the node is stopping and takes no new work"),
        },
    ];
    report("readyz", &checks, is_verbose)
}

fn report(name: &str, checks: &[Check], is_verbose: bool) -> (StatusCode, String) {
    let is_well = checks.iter().all(|check| check.wrong.is_none());
    if is_well && !is_verbose {
        return (StatusCode::OK, "ok".to_owned());
    }
    let mut text = String::new();
    for Check { name, wrong } in checks {
        // Infallible: writing to a String.
        let _ = match wrong {
            None => writeln!(text, "[+]{name} ok"),
            Some(why) => writeln!(text, "[-]{name} failed: {why}"),
        };
    }
    let (status, verdict) = match is_well {
        true => (StatusCode::OK, "passed"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "failed"),
    };
    let _ = writeln!(text, "{name} check {verdict}");
    (status, text)
}
