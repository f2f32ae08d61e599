//! Keys that we number ourselves, and a hash for them.
//!
//! Nobody outside can choose them, so a multiplication is hash enough.

use std::hash::{BuildHasherDefault, Hasher};

/// Who a request belongs to, for fairness. Numbers are the caller's: one for each tenant, or for
/// each lane that several tenants share, and never one for two.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TenantKey(pub u64);

/// A request that waits. Never given out twice; of two requests, the one that came later has the
/// greater one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket {
    // First, because order goes by it.
    pub(super) number: u64,
    pub(super) place: u32,
}

impl Ticket {
    /// The request's place among those that wait, which no other has meanwhile: below the number of
    /// requests that ever waited at once. Callers can keep what they know of it in a plain table.
    pub fn place(self) -> usize {
        self.place as usize
    }
}

/// A seat that is held: a place in the table of seats, and how often that place was taken. Not given
/// out again before its place was taken 2⁴⁰ times.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SeatKey(pub(super) u64);

pub(super) type KeyHash = BuildHasherDefault<KeyHasher>;

/// Fibonacci hashing (Knuth, *The Art of Computer Programming*, volume 3, section 6.4).
#[derive(Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(self.0.rotate_left(8) ^ u64::from(byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
