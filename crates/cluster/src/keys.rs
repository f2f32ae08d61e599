//! The keys of a cluster, and how they are changed while it runs.
//!
//! Every key has a number that stands in each datagram. All keys of the ring open; one of them
//! seals. A key is changed in two phases: first the new one is added everywhere, and then it is
//! used everywhere; when all use it the old one is taken away. At no time is there a member that
//! cannot read another.

use std::fmt;

use crate::Error;

/// The number of a key, as it stands in datagrams.
pub type KeyId = u8;

/// 32 secret bytes. Not printed, whoever asks.
#[derive(Clone, Eq, PartialEq)]
pub struct SecretKey([u8; 32]);

/// The keys that open, and the one that seals.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyRing {
    keys: Vec<(KeyId, SecretKey)>,
    seals: KeyId,
}

impl SecretKey {
    /// A key of these bytes, which should be random.
    ///
    /// # Errors
    /// [`Error::KeyLength`] if they are not 32.
    pub fn new(bytes: &[u8]) -> Result<Self, Error> {
        let key = <[u8; 32]>::try_from(bytes).map_err(|_| Error::KeyLength(bytes.len()))?;
        Ok(Self(key))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl KeyRing {
    /// A ring of these keys, of which `seals` seals.
    ///
    /// # Errors
    /// [`Error::KeyTwice`] and [`Error::NoSuchKey`].
    pub fn new(keys: Vec<(KeyId, SecretKey)>, seals: KeyId) -> Result<Self, Error> {
        for (place, (id, _)) in keys.iter().enumerate() {
            if keys[..place].iter().any(|(other, _)| other == id) {
                return Err(Error::KeyTwice(*id));
            }
        }
        let ring = Self { keys, seals };
        match ring.key(seals) {
            Some(_) => Ok(ring),
            None => Err(Error::NoSuchKey(seals)),
        }
    }

    pub(crate) fn key(&self, id: KeyId) -> Option<&SecretKey> {
        let found = self.keys.iter().find(|(known, _)| *known == id);
        found.map(|(_, key)| key)
    }

    pub(crate) fn seals(&self) -> KeyId {
        self.seals
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}
