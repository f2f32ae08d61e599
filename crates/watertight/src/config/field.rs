//! Names of header fields that a configuration may choose: none that says something to a hop, to
//! the front door or to the service already.

use http::HeaderName;

use super::{
    findings::{Finding, Findings},
    located::Located,
};

/// Longest name, in bytes.
const LENGTH_MAX: usize = 128;

/// Fields that mean something to every hop, or frame the message (RFC 9110, section 7.6).
const OF_A_HOP: [&str; 16] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields that say who called and by which way.
const OF_THE_WAY: [&str; 4] = ["forwarded", "via", "x-real-ip", "x-request-id"];

/// Fields that are proof, or that we write ourselves.
const OURS: [&str; 7] = [
    "authorization",
    "cookie",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "set-cookie",
    "x-api-key",
];

/// The name of a field that nobody else uses, in lower case; another one is reported.
pub(super) fn read(
    name: &Located<String>,
    tenant_headers: &[String],
    findings: &mut Findings<'_>,
) -> Option<String> {
    match judge(name, tenant_headers) {
        Ok(name) => Some(name),
        Err(message) => {
            let finding = Finding::new(name.span(), message);
            findings.add(finding.help(
                "a name that nothing else has, for example \"x-do-less\" or \"x-cost\"".to_owned(),
            ));
            None
        }
    }
}

fn judge(name: &str, tenant_headers: &[String]) -> Result<String, &'static str> {
    let fits = name.len() <= LENGTH_MAX;
    let parsed = HeaderName::from_bytes(name.as_bytes()).ok();
    let Some(parsed) = parsed.filter(|_| fits) else {
        return Err("this is not the name of a header");
    };
    // What a gateway interface (CGI, WSGI) takes for the same.
    let alike = parsed.as_str().replace('_', "-");
    let alike = alike.as_str();
    if OF_A_HOP.contains(&alike) {
        Err("this header belongs to one connection or frames the message")
    } else if OF_THE_WAY.contains(&alike) || alike.starts_with("x-forwarded-") {
        Err("this header says who called and by which way")
    } else if OURS.contains(&alike)
        || alike.starts_with("x-ratelimit-")
        || tenant_headers
            .iter()
            .any(|ours| ours.replace('_', "-") == alike)
    {
        Err("this header says something else already")
    } else {
        Ok(parsed.as_str().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fields_of_ones_own_can_be_chosen() {
        let tenant = ["x-tenant-id".to_owned(), "x_customer".to_owned()];
        for name in ["x-do-less", "X-Cost", "cost", "x_level"] {
            assert_eq!(judge(name, &tenant), Ok(name.to_lowercase()), "{name}");
        }
        for name in [
            "",
            "a b",
            "ä",
            "x:y",
            "Connection",
            "te",
            "Host",
            "content-length",
            "Via",
            "X-Forwarded-For",
            "x_forwarded_for",
            "Forwarded",
            "x-request-id",
            "X-Tenant-Id",
            "x_tenant_id",
            "x_customer",
            "x-api-key",
            "Authorization",
            "RateLimit",
            "x-ratelimit-limit",
            "retry-after",
        ] {
            assert!(judge(name, &tenant).is_err(), "{name}");
        }
        assert!(judge(&"x".repeat(LENGTH_MAX + 1), &tenant).is_err());
    }
}
