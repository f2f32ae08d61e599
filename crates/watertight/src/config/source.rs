//! Sources of a tenant's name: `jwt:CLAIM`, `api-key`, `header:NAME`, `host:…`, `path:…`.

use http::HeaderName;
use watertight_plan::{HostPattern, Source};

/// What stands for the tenant in a host or a path.
const TENANT: &str = "{tenant}";
/// Longest claim, host or path, in bytes.
const LENGTH_MAX: usize = 253;

/// The source that `text` names, or what to write instead.
pub(super) fn parse(text: &str) -> Result<Source, String> {
    let (kind, rest) = match text.split_once(':') {
        Some((kind, rest)) => (kind, rest),
        None => (text, ""),
    };
    let source = match kind {
        "api-key" if rest.is_empty() && !text.ends_with(':') => Some(Source::ApiKey),
        "jwt" => claim(rest),
        "header" => header(rest),
        "host" => host(rest),
        "path" => path(rest),
        _ => {
            return Err("a source is \"jwt:CLAIM\", \"api-key\", \"header:NAME\", \
                 \"host:{tenant}.shop.example\" or \"path:/t/{tenant}/\""
                .to_owned());
        }
    };
    source.ok_or_else(|| {
        match kind {
            "api-key" => "\"api-key\" takes nothing",
            "jwt" => "\"jwt:\" and the name of a claim: \"jwt:tenant\"",
            "header" => "\"header:\" and the name of a header: \"header:x-tenant-id\"",
            "host" => "one `{tenant}` in a host name: \"host:{tenant}.shop.example\"",
            _ => "`{tenant}` as the last segment of a normal path: \"path:/t/{tenant}/\"",
        }
        .to_owned()
    })
}

fn claim(claim: &str) -> Option<Source> {
    let fits = (1..=LENGTH_MAX).contains(&claim.len()) && !claim.chars().any(char::is_control);
    fits.then(|| Source::Jwt {
        claim: claim.to_owned(),
    })
}

fn header(name: &str) -> Option<Source> {
    let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
    (name.as_str().len() <= LENGTH_MAX).then(|| Source::Header {
        name: name.as_str().to_owned(),
    })
}

fn host(pattern: &str) -> Option<Source> {
    let (prefix, suffix) = pattern.split_once(TENANT)?;
    let in_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let fits = pattern.len() <= LENGTH_MAX
        && !suffix.is_empty()
        && prefix.bytes().chain(suffix.bytes()).all(in_host);
    fits.then(|| {
        Source::Host(HostPattern {
            prefix: prefix.to_ascii_lowercase(),
            suffix: suffix.to_ascii_lowercase(),
        })
    })
}

fn path(pattern: &str) -> Option<Source> {
    let (prefix, after) = pattern.split_once(TENANT)?;
    let inner = prefix.strip_prefix('/')?;
    let is_normal = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && !b"?#%\\{}".contains(&byte))
    };
    let fits = pattern.len() <= LENGTH_MAX
        && matches!(after, "" | "/")
        && match inner.strip_suffix('/') {
            Some(inner) => inner.split('/').all(is_normal),
            None => inner.is_empty(),
        };
    fits.then(|| Source::Path {
        prefix: prefix.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_prefix(text: &str) -> Option<String> {
        match parse(text) {
            Ok(Source::Path { prefix }) => Some(prefix),
            _ => None,
        }
    }

    #[test]
    fn every_kind_of_source_is_read() {
        assert_eq!(parse("api-key"), Ok(Source::ApiKey));
        assert!(matches!(parse("jwt:a:b"), Ok(Source::Jwt { claim }) if claim == "a:b"));
        assert!(matches!(parse("header:X-T"), Ok(Source::Header { name }) if name == "x-t"));
        assert!(matches!(
            parse("host:{tenant}.Shop.example"),
            Ok(Source::Host(HostPattern { prefix, suffix }))
                if prefix.is_empty() && suffix == ".shop.example"
        ));
        assert_eq!(path_prefix("path:/t/{tenant}/").as_deref(), Some("/t/"));
        assert_eq!(path_prefix("path:/{tenant}").as_deref(), Some("/"));
    }

    #[test]
    fn what_names_no_tenant_or_two_is_refused() {
        for text in [
            "",
            "api-key:",
            "api-key:x",
            "jwt",
            "jwt:",
            "header:",
            "header:a b",
            "host:",
            "cookie:x",
            "host:{tenant}",
            "host:shop.example",
            "host:{tenant}.{tenant}.a",
            "host:{tenant}/x",
            "path:{tenant}",
            "path:/t/",
            "path:/t{tenant}/",
            "path:/t/{tenant}/x",
            "path:/a//{tenant}/",
            "path:/../{tenant}/",
            "path:/a?/{tenant}",
            "path://{tenant}",
            "path:/{tenant}/{tenant}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
