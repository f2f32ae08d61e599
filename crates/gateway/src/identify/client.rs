//! Where a client is: the peer, or who the peers that we trust say it was.
//!
//! `X-Forwarded-For` is a list to which each proxy adds its own peer at the end. It is read from
//! there, as long as whoever added an entry is trusted; the first entry that is not a trusted peer
//! is the client. What stands before it may be the client's invention.

use std::net::IpAddr;

use http::HeaderMap;
use watertight_plan::Identity;

use crate::forward::headers::FORWARDED_FOR;

/// The client's address, when the request came from `peer`.
pub(super) fn address(identity: &Identity, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
    let mut nearest = peer.to_canonical();
    let lists = headers.get_all(&FORWARDED_FOR).iter().rev();
    for list in lists {
        let Ok(list) = list.to_str() else {
            return nearest;
        };
        for entry in list.rsplit(',') {
            if !identity.is_trusted(nearest) {
                return nearest;
            }
            let Some(address) = read(entry.trim()) else {
                return nearest;
            };
            nearest = address.to_canonical();
        }
    }
    nearest
}

/// An address, with or without a port.
fn read(entry: &str) -> Option<IpAddr> {
    let with_port = || {
        entry
            .parse()
            .ok()
            .map(|socket: std::net::SocketAddr| socket.ip())
    };
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    entry.parse().ok().or_else(with_port).or_else(in_brackets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, lists: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for list in lists {
            headers.append(FORWARDED_FOR, list.parse().unwrap());
        }
        let identity = Identity::default();
        address(&identity, &headers, peer.parse().unwrap()).to_string()
    }

    #[test]
    fn only_what_trusted_peers_added_is_believed() {
        assert_eq!(client("9.9.9.9", &["1.2.3.4"]), "9.9.9.9");
        assert_eq!(client("127.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(client("127.0.0.1", &["6.6.6.6, 1.2.3.4"]), "1.2.3.4");
        assert_eq!(client("127.0.0.1", &["6.6.6.6", "1.2.3.4, ::1"]), "1.2.3.4");
        assert_eq!(client("::1", &["[2001:db8::1]:443"]), "2001:db8::1");
        assert_eq!(client("::ffff:127.0.0.1", &["1.2.3.4:80"]), "1.2.3.4");
    }

    #[test]
    fn what_cannot_be_read_ends_the_list() {
        assert_eq!(client("127.0.0.1", &["1.2.3.4, unknown"]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &[""]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
    }
}
