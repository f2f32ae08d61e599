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
    // Prose may speak of the mark, and other JSON may have a field of that name: what follows decides.
    let after = |mark| {
        document
            .split(mark)
            .skip(1)
            .find_map(digest_at_the_start_of)
    };
    after(MARK).or_else(|| after(JSON_FIELD))
}

fn digest_at_the_start_of(text: &str) -> Option<String> {
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || c == ':' || c == '"');
    let digits: String = text.chars().take_while(char::is_ascii_hexdigit).collect();
    (digits.len() == DIGITS).then_some(digits)
}

const JSON_FIELD: &str = "\"digest\"";
const DIGITS: usize = 16;
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
