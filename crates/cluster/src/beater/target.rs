//! Where a monitor is.

use std::{fmt, str::FromStr};

use http::Uri;

use crate::Error;

/// A monitor's address, as `udp://host:port`, `http://host:port` or `https://host:port`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    pub(super) scheme: Scheme,
    pub(super) host: String,
    pub(super) port: u16,
    /// Host and port as they were written.
    pub(super) authority: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Scheme {
    Udp,
    Http,
    Https,
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why| Error::Target {
            target: text.to_owned(),
            why,
        };
        let uri: Uri = text.parse().map_err(|_| wrong("it is not a URL"))?;
        let scheme = match uri.scheme_str() {
            Some("udp") => Scheme::Udp,
            Some("http") => Scheme::Http,
            Some("https") => Scheme::Https,
            _ => return Err(wrong("it begins with udp://, http:// or https://")),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(wrong("it has no path"));
        }
        let authority = uri.authority().ok_or_else(|| wrong("it has a host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it has no user: give the key instead"));
        }
        let port = match (authority.port_u16(), scheme) {
            (Some(port), _) => port,
            (None, Scheme::Udp) => return Err(wrong("it has a port")),
            (None, Scheme::Http) => 80,
            (None, Scheme::Https) => 443,
        };
        Ok(Self {
            scheme,
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port,
            authority: authority.as_str().to_owned(),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Udp => "udp",
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_told_what_one_looks_like() {
        for text in [
            "127.0.0.1:8000",
            "ftp://a",
            "udp://a",
            "http://a/b",
            "http://u@a",
            "a b",
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("udp://127.0.0.1:8000"), "{text}: {error}");
        }
        for text in ["udp://[::1]:8000", "http://a", "https://a:1"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }
}
