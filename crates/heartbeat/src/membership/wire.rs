//! What members send each other, as bytes.
//!
//! One datagram is one message and records up to its end:
//!
//! ```text
//! version 1 | kind 1 | sender: key 8, generation varint, incarnation varint | message | record…
//! record:  kind 1 | length varint | key 8, generation varint, incarnation varint | rest
//! ```
//!
//! Numbers are little-endian, varints are LEB128. The rest of a record is who accuses (suspected:
//! one to four keys, dead: one), or, of a live one, nothing or its profile: name and address, and
//! its metadata. A record of an unknown kind is skipped, and what follows the known fields of a
//! record too, so that later versions can say more; a datagram of another version is refused.
//!
//! Nothing is copied or reserved on a sender's word: what is read are slices of the datagram, each
//! checked against what is left of it. Encryption and who may speak at all are the shell's.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use watertight_base::NodeId;

use super::suspicion::Suspicion;
use crate::metadata::METADATA_MAX;
use crate::{
    Key, Malformed,
    bytes::{Bytes, put_varint, varint_length},
    life::Version,
};

/// Who sends, and how new it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Stamp {
    pub(super) key: Key,
    pub(super) version: Version,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Message {
    /// Are you there? Answered with `Ack`, by `target` alone.
    Ping {
        number: u32,
        target: Key,
    },
    /// Ask `target` for me; answered with its `Ack`, or with `Nack` when it does not answer soon.
    Relay {
        number: u32,
        target: Key,
        at: SocketAddr,
    },
    Ack {
        number: u32,
    },
    Nack {
        number: u32,
    },
    /// Records only.
    Gossip,
    /// This is the digest of all I know; if yours differs, send `Buckets`.
    Sync {
        digest: u64,
    },
    /// The digests of my buckets; send the records of those that differ, and say which with `Want`.
    Buckets {
        digests: Box<[u32; BUCKETS]>,
    },
    /// Send your records of these buckets.
    Want {
        buckets: u64,
    },
    /// Records that differ, as asked for.
    Records,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Record<'a> {
    pub(super) of: Stamp,
    pub(super) claim: Claim<'a>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Claim<'a> {
    /// With its profile, if that may be new to somebody.
    Alive(Option<Profile<'a>>),
    Suspected(Accusers),
    Dead {
        accuser: Key,
    },
    Left,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Accusers {
    keys: [Key; Suspicion::ACCUSERS_MAX],
    count: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Profile<'a> {
    pub(super) id: &'a str,
    pub(super) address: SocketAddr,
    pub(super) metadata: &'a [u8],
}

/// How many parts a table is compared in.
pub(super) const BUCKETS: usize = 64;
pub(super) const VERSION: u8 = 1;

impl Accusers {
    pub(super) fn new(keys: &[Key]) -> Self {
        let count = keys.len().min(Suspicion::ACCUSERS_MAX);
        let mut accusers = Self {
            keys: [Key(0); Suspicion::ACCUSERS_MAX],
            count,
        };
        accusers.keys[..count].copy_from_slice(&keys[..count]);
        accusers
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys[..self.count]
    }
}

/// A datagram that is being written.
#[derive(Debug)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    most: usize,
}

impl Writer {
    /// Begins with the message; `most` bytes hold every message and some records.
    pub(super) fn new(sender: Stamp, message: &Message, most: usize) -> Self {
        let mut bytes = Vec::with_capacity(most);
        bytes.extend([VERSION, kind(message)]);
        put_stamp(&mut bytes, sender);
        match message {
            Message::Ping { number, target } => {
                bytes.extend(number.to_le_bytes());
                bytes.extend(target.0.to_le_bytes());
            }
            Message::Relay { number, target, at } => {
                bytes.extend(number.to_le_bytes());
                bytes.extend(target.0.to_le_bytes());
                put_address(&mut bytes, *at);
            }
            Message::Ack { number } | Message::Nack { number } => {
                bytes.extend(number.to_le_bytes());
            }
            Message::Gossip | Message::Records => {}
            Message::Sync { digest } => bytes.extend(digest.to_le_bytes()),
            Message::Buckets { digests } => {
                digests
                    .iter()
                    .for_each(|digest| bytes.extend(digest.to_le_bytes()));
            }
            Message::Want { buckets } => bytes.extend(buckets.to_le_bytes()),
        }
        Self { bytes, most }
    }

    /// Adds a record; false, and nothing added, if it does not fit.
    pub(super) fn push(&mut self, record: &Record<'_>) -> bool {
        let start = self.bytes.len();
        let length = record.length();
        self.bytes.push(record.claim.kind());
        put_varint(&mut self.bytes, length as u64);
        let body = self.bytes.len();
        if body + length > self.most {
            self.bytes.truncate(start);
            return false;
        }
        record.put(&mut self.bytes);
        debug_assert_eq!(self.bytes.len(), body + length);
        true
    }

    pub(super) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

impl Record<'_> {
    /// Bytes of all that follows the length.
    fn length(&self) -> usize {
        let rest = match &self.claim {
            Claim::Alive(None) | Claim::Left => 0,
            Claim::Alive(Some(profile)) => profile.length(),
            Claim::Suspected(accusers) => 1 + 8 * accusers.keys().len(),
            Claim::Dead { .. } => 8,
        };
        stamp_length(self.of) + rest
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        put_stamp(bytes, self.of);
        match &self.claim {
            Claim::Alive(None) | Claim::Left => {}
            Claim::Alive(Some(profile)) => profile.put(bytes),
            Claim::Suspected(accusers) => {
                let keys = accusers.keys();
                bytes.push(u8::try_from(keys.len()).unwrap_or(u8::MAX));
                keys.iter()
                    .for_each(|key| bytes.extend(key.0.to_le_bytes()));
            }
            Claim::Dead { accuser } => bytes.extend(accuser.0.to_le_bytes()),
        }
    }
}

impl Profile<'_> {
    fn length(&self) -> usize {
        let address = match self.address {
            SocketAddr::V4(_) => 1 + 4 + 2,
            SocketAddr::V6(_) => 1 + 16 + 2,
        };
        1 + self.id.len() + address + 2 + self.metadata.len()
    }

    fn put(&self, bytes: &mut Vec<u8>) {
        bytes.push(u8::try_from(self.id.len()).unwrap_or(u8::MAX));
        bytes.extend(self.id.as_bytes());
        put_address(bytes, self.address);
        let length = u16::try_from(self.metadata.len()).unwrap_or(u16::MAX);
        bytes.extend(length.to_le_bytes());
        bytes.extend(self.metadata);
    }
}

/// A datagram that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(Bytes<'a>);

impl<'a> Reader<'a> {
    pub(super) fn new(datagram: &'a [u8]) -> Self {
        Self(Bytes::new(datagram))
    }

    /// Sender and message; the records are left.
    pub(super) fn message(&mut self) -> Result<(Stamp, Message), Malformed> {
        if self.0.u8()? != VERSION {
            return Err(Malformed);
        }
        let kind = self.0.u8()?;
        let sender = self.stamp()?;
        let message = match kind {
            PING => Message::Ping {
                number: self.0.u32()?,
                target: self.key()?,
            },
            RELAY => Message::Relay {
                number: self.0.u32()?,
                target: self.key()?,
                at: self.address()?,
            },
            ACK => Message::Ack {
                number: self.0.u32()?,
            },
            NACK => Message::Nack {
                number: self.0.u32()?,
            },
            GOSSIP => Message::Gossip,
            SYNC => Message::Sync {
                digest: self.0.u64()?,
            },
            BUCKETS_KIND => {
                let mut digests = Box::new([0; BUCKETS]);
                for digest in digests.iter_mut() {
                    *digest = self.0.u32()?;
                }
                Message::Buckets { digests }
            }
            WANT => Message::Want {
                buckets: self.0.u64()?,
            },
            RECORDS => Message::Records,
            _ => return Err(Malformed),
        };
        Ok((sender, message))
    }

    /// The next record that we understand; none at the end.
    pub(super) fn record(&mut self) -> Result<Option<Record<'a>>, Malformed> {
        while !self.0.is_empty() {
            let kind = self.0.u8()?;
            let length = usize::try_from(self.0.varint()?).map_err(|_| Malformed)?;
            let mut body = Reader::new(self.0.take(length)?);
            if let Some(record) = body.body(kind)? {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    fn body(&mut self, kind: u8) -> Result<Option<Record<'a>>, Malformed> {
        if !(ALIVE..=LEFT).contains(&kind) {
            return Ok(None);
        }
        let of = self.stamp()?;
        let claim = match kind {
            ALIVE => Claim::Alive(None),
            ALIVE_WITH_PROFILE => Claim::Alive(Some(self.profile()?)),
            SUSPECTED => Claim::Suspected(self.accusers()?),
            DEAD => Claim::Dead {
                accuser: self.key()?,
            },
            _ => Claim::Left,
        };
        Ok(Some(Record { of, claim }))
    }

    fn profile(&mut self) -> Result<Profile<'a>, Malformed> {
        let length = usize::from(self.0.u8()?);
        let id = self.0.take(length)?;
        let id = str::from_utf8(id).map_err(|_| Malformed)?;
        let address = self.address()?;
        let length = usize::from(u16::from_le_bytes(self.0.array()?));
        if id.len() > NodeId::MAX_LENGTH || length > METADATA_MAX {
            return Err(Malformed);
        }
        let metadata = self.0.take(length)?;
        Ok(Profile {
            id,
            address,
            metadata,
        })
    }

    fn accusers(&mut self) -> Result<Accusers, Malformed> {
        let count = usize::from(self.0.u8()?);
        if !(1..=Suspicion::ACCUSERS_MAX).contains(&count) {
            return Err(Malformed);
        }
        let mut keys = [Key(0); Suspicion::ACCUSERS_MAX];
        for key in &mut keys[..count] {
            *key = self.key()?;
        }
        Ok(Accusers { keys, count })
    }

    fn stamp(&mut self) -> Result<Stamp, Malformed> {
        Ok(Stamp {
            key: self.key()?,
            version: Version {
                generation: self.0.varint()?,
                incarnation: u32::try_from(self.0.varint()?).map_err(|_| Malformed)?,
            },
        })
    }

    fn address(&mut self) -> Result<SocketAddr, Malformed> {
        let ip = match self.0.u8()? {
            4 => IpAddr::V4(Ipv4Addr::from(self.0.array::<4>()?)),
            6 => IpAddr::V6(Ipv6Addr::from(self.0.array::<16>()?)),
            _ => return Err(Malformed),
        };
        Ok(SocketAddr::new(ip, u16::from_le_bytes(self.0.array()?)))
    }

    fn key(&mut self) -> Result<Key, Malformed> {
        Ok(Key(self.0.u64()?))
    }
}

impl Claim<'_> {
    fn kind(&self) -> u8 {
        match self {
            Self::Alive(None) => ALIVE,
            Self::Alive(Some(_)) => ALIVE_WITH_PROFILE,
            Self::Suspected(_) => SUSPECTED,
            Self::Dead { .. } => DEAD,
            Self::Left => LEFT,
        }
    }
}

fn kind(message: &Message) -> u8 {
    match message {
        Message::Ping { .. } => PING,
        Message::Relay { .. } => RELAY,
        Message::Ack { .. } => ACK,
        Message::Nack { .. } => NACK,
        Message::Gossip => GOSSIP,
        Message::Sync { .. } => SYNC,
        Message::Buckets { .. } => BUCKETS_KIND,
        Message::Want { .. } => WANT,
        Message::Records => RECORDS,
    }
}

fn put_stamp(bytes: &mut Vec<u8>, stamp: Stamp) {
    bytes.extend(stamp.key.0.to_le_bytes());
    put_varint(bytes, stamp.version.generation);
    put_varint(bytes, stamp.version.incarnation.into());
}

fn stamp_length(stamp: Stamp) -> usize {
    8 + varint_length(stamp.version.generation) + varint_length(stamp.version.incarnation.into())
}

fn put_address(bytes: &mut Vec<u8>, address: SocketAddr) {
    match address.ip() {
        IpAddr::V4(ip) => {
            bytes.push(4);
            bytes.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes.push(6);
            bytes.extend(ip.octets());
        }
    }
    bytes.extend(address.port().to_le_bytes());
}

const PING: u8 = 1;
const RELAY: u8 = 2;
const ACK: u8 = 3;
const NACK: u8 = 4;
const GOSSIP: u8 = 5;
const SYNC: u8 = 6;
const BUCKETS_KIND: u8 = 7;
const WANT: u8 = 8;
const RECORDS: u8 = 9;

const ALIVE: u8 = 1;
const ALIVE_WITH_PROFILE: u8 = 2;
const SUSPECTED: u8 = 3;
const DEAD: u8 = 4;
const LEFT: u8 = 5;
