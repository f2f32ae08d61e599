//! What a map comes to in 16 digits, and where a document shows it.

use super::Map;

/// What stands before the digest in every form of a map but JSON.
pub const MARK: &str = "watertight-map:";

/// The digest of everything but live use and the digest itself: FNV-1a of 64 bits (Fowler, Noll and Vo,
/// `draft-eastlake-fnv`) over the JSON. It is the same on every machine; a version
/// that maps more has other digests.
pub(super) fn of(map: &Map) -> String {
    let mut bare = map.clone();
    bare.digest = String::new();
    bare.live_s = None;
    let parts = bare
        .pools
        .iter_mut()
        .flat_map(|pool| &mut pool.compartments);
    parts.for_each(|part| part.live = None);
    let hash = bare.json().bytes().fold(OFFSET, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    });
    format!("{hash:016x}")
}

/// The digest that `document`, a map in any form or a page with one in it, says that it has.
#[must_use]
pub fn digest_in(document: &str) -> Option<String> {
    let json = || {
        let map: serde_json::Value = serde_json::from_str(document).ok()?;
        Some(map.get("digest")?.as_str()?.to_owned())
    };
    let marked = || {
        let (_, rest) = document.split_once(MARK)?;
        let digest: String = rest.trim_start().chars().take(DIGITS).collect();
        let is_digest = digest.len() == DIGITS && digest.chars().all(|c| c.is_ascii_hexdigit());
        is_digest.then_some(digest)
    };
    marked().or_else(json)
}

const DIGITS: usize = 16;
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
