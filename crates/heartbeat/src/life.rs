//! What is known of a node, and how old that knowledge is.

use std::fmt;

use watertight_base::NodeId;

/// What a node is held to be.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Life {
    /// It is heard of.
    Alive,
    /// It was not heard of when it should have been, and may say otherwise.
    Suspected,
    /// It was suspected and did not say otherwise. It comes back with a higher version only.
    Dead,
    /// It said that it goes. It comes back with a higher version only.
    Left,
}

/// How new what is known of a node is: `generation` first, then `incarnation`.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Version {
    /// How often the node has started. It is kept on its disk, so that what a process said before
    /// it was restarted never counts against the process that runs now. Also a fencing token.
    pub generation: u64,
    /// How often it has said something new of itself since: a refuted suspicion, other metadata.
    pub incarnation: u32,
}

/// A node's name in 64 bits, by which messages speak of it.
///
/// Of 100,000 nodes two share a key with a chance of 3 in 10^10; the second is then refused by
/// those who know the first.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Key(pub(crate) u64);

impl Life {
    /// Whether it may still be spoken to: alive or suspected.
    pub fn is_present(self) -> bool {
        matches!(self, Self::Alive | Self::Suspected)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Suspected => "suspected",
            Self::Dead => "dead",
            Self::Left => "left",
        }
    }
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&NodeId> for Key {
    /// FNV-1a (64 bits), the bits then mixed as in splitmix64: the same on every machine, for ever.
    fn from(id: &NodeId) -> Self {
        let hash = id
            .as_str()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            });
        Self(mix(hash))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:016x})", self.0)
    }
}

/// Spreads what differs in a few bits over all 64 (Stafford's thirteenth variant, as in
/// splitmix64).
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
