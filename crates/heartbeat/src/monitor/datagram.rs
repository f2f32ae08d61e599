//! A beat in one small datagram.
//!
//! ```text
//! version 1 | kind 1 | id length 1 | id | generation varint | sequence varint |
//! interval in ms varint | metadata length varint | metadata
//! ```
//!
//! Kind 0 is a beat, 1 a good-bye. An interval of 0 says nothing of it; no metadata leaves what was
//! said before. What follows is skipped, so that later versions can say more. Who may beat is the
//! shell's.

use std::time::Duration;

use watertight_base::NodeId;

use crate::{
    bytes::{Bytes, Malformed, put_varint},
    metadata::METADATA_MAX,
};

/// A beat that came as a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BeatDatagram<'a> {
    /// Whose: a name, not yet checked.
    pub id: &'a str,
    /// How often the node has started.
    pub generation: u64,
    /// The number of the beat.
    pub sequence: u64,
    /// When its next one comes; none if it does not say.
    pub interval: Option<Duration>,
    /// Whether the node says that it goes.
    pub is_farewell: bool,
    /// What it says of itself, encoded; empty to leave what it said before.
    pub metadata: &'a [u8],
}

impl<'a> BeatDatagram<'a> {
    /// The longest, in bytes.
    pub const LENGTH_MAX: usize = 3 + NodeId::MAX_LENGTH + 10 + 10 + 10 + 2 + METADATA_MAX;

    /// Reads one.
    ///
    /// # Errors
    /// [`Malformed`] if it is none, or of another version.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, Malformed> {
        let mut bytes = Bytes::new(datagram);
        if bytes.u8()? != VERSION {
            return Err(Malformed);
        }
        let is_farewell = match bytes.u8()? {
            BEAT => false,
            FAREWELL => true,
            _ => return Err(Malformed),
        };
        let length = usize::from(bytes.u8()?);
        let id = str::from_utf8(bytes.take(length)?).map_err(|_| Malformed)?;
        let (generation, sequence) = (bytes.varint()?, bytes.varint()?);
        let interval = match bytes.varint()? {
            0 => None,
            ms => Some(Duration::from_millis(ms)),
        };
        let length = usize::try_from(bytes.varint()?).map_err(|_| Malformed)?;
        if length > METADATA_MAX {
            return Err(Malformed);
        }
        Ok(Self {
            id,
            generation,
            sequence,
            interval,
            is_farewell,
            metadata: bytes.take(length)?,
        })
    }

    /// Writes it at the end of `bytes`. An interval is rounded to whole milliseconds, at least one.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let length = u8::try_from(self.id.len()).unwrap_or(u8::MAX);
        let kind = if self.is_farewell { FAREWELL } else { BEAT };
        bytes.extend([VERSION, kind, length]);
        bytes.extend(&self.id.as_bytes()[..usize::from(length).min(self.id.len())]);
        put_varint(bytes, self.generation);
        put_varint(bytes, self.sequence);
        let ms = |interval: Duration| u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        put_varint(
            bytes,
            self.interval.map_or(0, |interval| ms(interval).max(1)),
        );
        put_varint(bytes, self.metadata.len() as u64);
        bytes.extend(self.metadata);
    }
}

const VERSION: u8 = 1;
const BEAT: u8 = 0;
const FAREWELL: u8 = 1;
