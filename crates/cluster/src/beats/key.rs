//! The key that may beat, and nothing else.
//!
//! Over HTTP it is shown as it is (`Authorization: Bearer`), so the connection should be encrypted.
//! A datagram has behind it the HMAC-SHA-256 of all before it, under a key that follows from this
//! one; the beat's generation and number keep it from counting twice.

use http::HeaderValue;
use ring::hmac;

use crate::Error;

/// The key that may beat. Not printed, whoever asks.
#[derive(Clone)]
pub struct BeatKey {
    bearer: HeaderValue,
    datagrams: hmac::Key,
}

impl BeatKey {
    /// The fewest letters of a key.
    pub const LENGTH_MIN: usize = 16;
    /// What sealing adds to a datagram, in bytes.
    pub(crate) const OVERHEAD: usize = 32;

    /// A key of these letters, which should be random.
    ///
    /// # Errors
    /// [`Error::BeatKey`] if they are fewer than 16, or no header takes them.
    pub fn new(secret: &[u8]) -> Result<Self, Error> {
        if secret.len() < Self::LENGTH_MIN {
            return Err(Error::BeatKey);
        }
        let bearer = [b"Bearer ", secret].concat();
        let mut bearer = HeaderValue::try_from(bearer).map_err(|_| Error::BeatKey)?;
        bearer.set_sensitive(true);
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&secret, b"watertight beat datagrams 1");
        Ok(Self {
            bearer,
            datagrams: hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()),
        })
    }

    /// What shows it over HTTP.
    pub(crate) fn bearer(&self) -> &HeaderValue {
        &self.bearer
    }

    /// Seals a datagram, for who sends it without a [`Beater`](crate::Beater).
    pub fn seal(&self, datagram: &mut Vec<u8>) {
        let tag = hmac::sign(&self.datagrams, datagram);
        datagram.extend(tag.as_ref());
    }

    /// What was sealed; none if it was not, with this key.
    pub(crate) fn open<'a>(&self, datagram: &'a [u8]) -> Option<&'a [u8]> {
        let length = datagram.len().checked_sub(Self::OVERHEAD)?;
        let (said, tag) = datagram.split_at_checked(length)?;
        hmac::verify(&self.datagrams, said, tag).ok()?;
        Some(said)
    }
}

impl std::fmt::Debug for BeatKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BeatKey(…)")
    }
}
