//! Addresses of services: `http://host:port`, `h2c://host:port`.

use std::net::Ipv6Addr;

use watertight_plan::{Address, Protocol, Upstream};

/// What is wrong, and what to do.
type Fault = (&'static str, &'static str);

const FORM: &str = "\"http://host:port\", or \"h2c://host:port\" for HTTP/2";
const BARE_FORM: &str = "\"host:port\", without a scheme";

/// The upstream of a pool of connections that `text` names.
pub(super) fn parse_address(text: &str) -> Result<Address, Fault> {
    if text.contains("://") {
        return Err((
            "a pool of connections has addresses without a scheme",
            BARE_FORM,
        ));
    }
    if text.contains(['/', '?', '#', '@']) {
        return Err(("this is not the address of an upstream", BARE_FORM));
    }
    parse_authority(text, BARE_FORM)
}

/// The upstream that `text` names.
pub(super) fn parse(text: &str) -> Result<Upstream, Fault> {
    let Some((scheme, authority)) = text.split_once("://") else {
        return Err(("this is not the address of an upstream", FORM));
    };
    let protocol = match scheme {
        "http" => Protocol::Http1,
        "h2c" => Protocol::Http2,
        "https" => {
            return Err((
                "TLS to upstreams is not built yet in this version",
                "use \"http://host:port\" on a network that you trust",
            ));
        }
        _ => return Err(("this is not a scheme that upstreams have", FORM)),
    };
    if authority.contains('@') {
        return Err(("an upstream has no user information", FORM));
    }
    if authority.contains(['/', '?', '#']) {
        return Err((
            "an upstream has no path and no query",
            "requests keep the path that they came with; leave it out here",
        ));
    }
    let Address { host, port } = parse_authority(authority, FORM)?;
    Ok(Upstream {
        protocol,
        host,
        port,
    })
}

fn parse_authority(authority: &str, form: &'static str) -> Result<Address, Fault> {
    let Some((host, port)) = authority.rsplit_once(':') else {
        return Err(("this upstream has no port", form));
    };
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let port = match port.parse() {
        Ok(port) if digits && port != 0 => port,
        _ => return Err(("a port lies between 1 and 65535", form)),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'));
    let is_right = match bare {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => {
            (1..=253).contains(&host.len())
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
    };
    if !is_right {
        return Err(("this is not the name of a host", form));
    }
    Ok(Address {
        host: bare.unwrap_or(host).to_ascii_lowercase(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        for text in ["127.0.0.1:6379", "cache.internal:11211", "[::1]:6379"] {
            assert_eq!(
                parse_address(text).map(|address| address.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            "cache",
            "cache:",
            "redis://cache:6379",
            "cache:6379/0",
            "a@b:1",
            "::1:1",
        ] {
            assert!(parse_address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_upstream_is_a_scheme_a_host_and_a_port() {
        for text in [
            "http://127.0.0.1:9001",
            "h2c://a.b-c:80",
            "http://[::1]:65535",
        ] {
            assert_eq!(
                parse(text).map(|upstream| upstream.to_string()),
                Ok(text.to_owned())
            );
        }
        for text in [
            "",
            "host:80",
            "http://",
            "http://host",
            "http://host:",
            "http://host:0",
            "http://host:65536",
            "http://host:+80",
            "http://:80",
            "http://[::1]",
            "http://::1:80",
            "http://host:80/",
            "http://host:80?x",
            "http://a@host:80",
            "https://host:443",
            "ftp://host:21",
            "http://ho st:80",
            "http://[x]:80",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
