//! Datagrams that only members can make and read.
//!
//! ```text
//! "WT" 2 | version 1 | key id 1 | salt 16 | number 8 | sealed… | tag 16
//! ```
//!
//! Every process draws a salt when it starts and counts its datagrams. From the cluster's key, its
//! name and the salt follows the key of that process (HKDF-SHA256, RFC 5869), with which each
//! datagram is sealed under its number as nonce (AES-256-GCM): no nonce is used twice, without
//! anything to be kept on disk. All before the sealed part is authenticated with it.
//!
//! A receiver keeps, for each process that it has heard, that key and the numbers seen. So a
//! datagram is taken once. What was recorded can be played to a process that has started since, but
//! tells it nothing: claims have versions, and questions and answers have numbers.
//!
//! Nothing is kept of a salt before a datagram has been opened with it. The oldest process makes
//! room when there are as many as [`SESSIONS_MAX`]; one that is heard again is then as new as a
//! started one.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hkdf,
    rand::{SecureRandom, SystemRandom},
};

use crate::{Error, KeyId, KeyRing, replay::ReplayWindow};

/// Processes whose datagrams can be told apart, roughly the members of the largest cluster. Each
/// takes under a kilobyte.
const SESSIONS_MAX: usize = 16_384;

/// Why a datagram was not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refused {
    /// It is too short, or no datagram of ours.
    Foreign,
    /// It is of a version that is not known.
    Version,
    /// Its key is not in the ring.
    UnknownKey,
    /// It does not open: another key, another cluster's, or tampered with.
    Unsealed,
    /// It has come before, or is too old to tell.
    Replayed,
    /// It is sealed and we have no key, or the other way round.
    Mismatch,
}

/// How often datagrams were refused, by why.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RefusedCounts {
    /// Too short, or none of ours.
    pub foreign: u64,
    /// Of a version that is not known.
    pub version: u64,
    /// Of a key that is not in the ring.
    pub unknown_key: u64,
    /// That do not open.
    pub unsealed: u64,
    /// That came before.
    pub replayed: u64,
    /// Sealed where we have no key, or open where we have one.
    pub mismatch: u64,
}

impl RefusedCounts {
    /// All of them.
    pub fn all(&self) -> u64 {
        let Self {
            foreign,
            version,
            unknown_key,
            unsealed,
            replayed,
            mismatch,
        } = self;
        foreign + version + unknown_key + unsealed + replayed + mismatch
    }
}

/// Seals what one process says, and opens what others say to it.
pub struct Seal {
    cluster: Box<[u8]>,
    ring: Option<KeyRing>,
    salt: Salt,
    number: u64,
    own: Option<(KeyId, LessSafeKey)>,
    sessions: HashMap<(KeyId, Salt), Session, RandomState>,
    order: VecDeque<(KeyId, Salt)>,
    counts: RefusedCounts,
}

type Salt = [u8; 16];

struct Session {
    key: LessSafeKey,
    window: ReplayWindow,
}

impl Seal {
    /// Bytes that a datagram is longer than what it says.
    pub const OVERHEAD: usize = HEADER + 16;
    /// Longest name of a cluster.
    pub const CLUSTER_MAX: usize = 64;

    /// For the cluster of that name; without a ring nothing is sealed, which is for loopback alone.
    ///
    /// # Errors
    /// [`Error::ClusterName`], and [`Error::NoRandom`] if no salt can be drawn.
    pub fn new(cluster: &str, ring: Option<KeyRing>) -> Result<Self, Error> {
        if !(1..=Self::CLUSTER_MAX).contains(&cluster.len()) {
            return Err(Error::ClusterName(cluster.len()));
        }
        let mut salt = Salt::default();
        SystemRandom::new()
            .fill(&mut salt)
            .map_err(|_| Error::NoRandom)?;
        let mut seal = Self {
            cluster: cluster.as_bytes().into(),
            ring: None,
            salt,
            number: 0,
            own: None,
            sessions: HashMap::default(),
            order: VecDeque::new(),
            counts: RefusedCounts::default(),
        };
        seal.set_ring(ring);
        Ok(seal)
    }

    /// Changes the keys. What was sealed with a key that is gone opens no more.
    pub fn set_ring(&mut self, ring: Option<KeyRing>) {
        let keeps = |id: KeyId| {
            let new = ring.as_ref().and_then(|ring| ring.key(id));
            let old = self.ring.as_ref().and_then(|ring| ring.key(id));
            new.is_some() && new == old
        };
        self.sessions.retain(|(id, _), _| keeps(*id));
        self.order.retain(|(id, _)| keeps(*id));
        let seals = ring.as_ref().map(KeyRing::seals);
        self.ring = ring;
        self.own = seals.and_then(|id| Some((id, self.key(id, &self.salt)?)));
    }

    /// How often datagrams were refused.
    pub fn counts(&self) -> RefusedCounts {
        self.counts
    }

    /// Seals what is to be said, into `datagram`, which is emptied first. Nothing is written when
    /// all numbers are used up, which takes 584 years at a thousand million a second.
    pub fn seal(&mut self, said: &[u8], datagram: &mut Vec<u8>) {
        datagram.clear();
        let number = self.number;
        let Some(next) = number.checked_add(1) else {
            return;
        };
        self.number = next;
        let (id, version) = match &self.own {
            Some((id, _)) => (*id, SEALED),
            None => (0, OPEN),
        };
        datagram.extend(MAGIC);
        datagram.extend([version, id]);
        datagram.extend(self.salt);
        datagram.extend(number.to_le_bytes());
        let header: [u8; HEADER] = std::array::from_fn(|at| datagram[at]);
        datagram.extend(said);
        if let Some((_, key)) = &self.own {
            let (aad, nonce) = (Aad::from(header), nonce(number));
            match key.seal_in_place_separate_tag(nonce, aad, &mut datagram[HEADER..]) {
                Ok(tag) => datagram.extend(tag.as_ref()),
                // Only what is longer than 64 GiB cannot be sealed.
                Err(_) => datagram.clear(),
            }
        }
    }

    /// Opens what came, in place.
    ///
    /// # Errors
    /// Why it is not taken; that is counted.
    pub fn open<'a>(&mut self, datagram: &'a mut [u8]) -> Result<&'a [u8], Refused> {
        let opened = self.try_open(datagram);
        if let Err(refused) = opened {
            let counts = &mut self.counts;
            *match refused {
                Refused::Foreign => &mut counts.foreign,
                Refused::Version => &mut counts.version,
                Refused::UnknownKey => &mut counts.unknown_key,
                Refused::Unsealed => &mut counts.unsealed,
                Refused::Replayed => &mut counts.replayed,
                Refused::Mismatch => &mut counts.mismatch,
            } += 1;
        }
        opened
    }

    fn try_open<'a>(&mut self, datagram: &'a mut [u8]) -> Result<&'a [u8], Refused> {
        let Some((header, sealed)) = datagram.split_first_chunk_mut::<HEADER>() else {
            return Err(Refused::Foreign);
        };
        let [magic_1, magic_2, version, id, rest @ ..] = *header;
        if [magic_1, magic_2] != MAGIC {
            return Err(Refused::Foreign);
        }
        let (salt, number) = rest.split_at(16);
        let salt = Salt::try_from(salt).map_err(|_| Refused::Foreign)?;
        let number = <[u8; 8]>::try_from(number).map_err(|_| Refused::Foreign)?;
        let number = u64::from_le_bytes(number);
        match (version, &self.ring) {
            (OPEN, None) => return Ok(sealed),
            (SEALED, Some(_)) => {}
            (OPEN | SEALED, _) => return Err(Refused::Mismatch),
            _ => return Err(Refused::Version),
        }
        if let Some(session) = self.sessions.get(&(id, salt)) {
            if !session.window.is_new(number) {
                return Err(Refused::Replayed);
            }
            let said = unseal(&session.key, number, *header, sealed)?;
            if let Some(session) = self.sessions.get_mut(&(id, salt)) {
                session.window.note(number);
            }
            return Ok(said);
        }
        let key = self.key(id, &salt).ok_or(Refused::UnknownKey)?;
        let said = unseal(&key, number, *header, sealed)?;
        self.begin((id, salt), key, number);
        Ok(said)
    }

    fn begin(&mut self, whose: (KeyId, Salt), key: LessSafeKey, number: u64) {
        if self.order.len() >= SESSIONS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.sessions.remove(&oldest);
        }
        let mut window = ReplayWindow::default();
        window.note(number);
        self.sessions.insert(whose, Session { key, window });
        self.order.push_back(whose);
    }

    /// The key of a process.
    fn key(&self, id: KeyId, salt: &Salt) -> Option<LessSafeKey> {
        let secret = self.ring.as_ref()?.key(id)?;
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(secret.bytes());
        let info = [INFO, &self.cluster];
        let key = derived.expand(&info, &AES_256_GCM).ok()?;
        Some(LessSafeKey::new(UnboundKey::from(key)))
    }
}

fn unseal<'a>(
    key: &LessSafeKey,
    number: u64,
    header: [u8; HEADER],
    sealed: &'a mut [u8],
) -> Result<&'a [u8], Refused> {
    match key.open_in_place(nonce(number), Aad::from(header), sealed) {
        Ok(said) => Ok(said),
        Err(_) => Err(Refused::Unsealed),
    }
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal")
            .field("ring", &self.ring)
            .field("sessions", &self.sessions.len())
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

const MAGIC: [u8; 2] = *b"WT";
const SEALED: u8 = 1;
const OPEN: u8 = 0;
const HEADER: usize = 2 + 1 + 1 + 16 + 8;
const INFO: &[u8] = b"watertight gossip 1";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::SecretKey;

    fn ring(keys: &[u8], seals: u8) -> Option<KeyRing> {
        let key = |id: &u8| (*id, SecretKey::new(&[*id; 32]).unwrap());
        Some(KeyRing::new(keys.iter().map(key).collect(), seals).unwrap())
    }

    fn seal(keys: &[u8], seals: u8) -> Seal {
        Seal::new("shop", ring(keys, seals)).unwrap()
    }

    fn said(by: &mut Seal, what: &[u8]) -> Vec<u8> {
        let mut datagram = Vec::new();
        by.seal(what, &mut datagram);
        datagram
    }

    fn heard(by: &mut Seal, datagram: &[u8]) -> Result<Vec<u8>, Refused> {
        by.open(&mut datagram.to_vec()).map(<[u8]>::to_vec)
    }

    #[test]
    fn what_is_sealed_opens_once_and_is_as_much_longer_as_was_said() {
        let (mut one, mut other) = (seal(&[1], 1), seal(&[1], 1));
        let datagrams: Vec<_> = (0..40_u8)
            .map(|number| said(&mut one, &[number; 100]))
            .collect();
        for (number, datagram) in (0..40).zip(&datagrams).rev() {
            assert_eq!(datagram.len(), 100 + Seal::OVERHEAD);
            assert!(
                !datagram[HEADER..]
                    .windows(8)
                    .any(|part| part == [number; 8])
            );
            assert_eq!(heard(&mut other, datagram), Ok(vec![number; 100]));
        }
        for datagram in &datagrams {
            assert_eq!(heard(&mut other, datagram), Err(Refused::Replayed));
        }
        assert_eq!(other.counts().replayed, 40);
    }

    #[test]
    fn another_key_another_cluster_and_a_stranger_are_told_apart_and_refused() {
        let mut own = seal(&[1], 1);
        let mut same_number = Seal::new("shop", {
            let key = SecretKey::new(&[9; 32]).unwrap();
            Some(KeyRing::new(vec![(1, key)], 1).unwrap())
        })
        .unwrap();
        let mut other_cluster = Seal::new("shop2", ring(&[1], 1)).unwrap();
        let mut open = Seal::new("shop", None).unwrap();
        let refused = [
            (said(&mut same_number, b"x"), Refused::Unsealed),
            (said(&mut other_cluster, b"x"), Refused::Unsealed),
            (said(&mut seal(&[2], 2), b"x"), Refused::UnknownKey),
            (said(&mut open, b"x"), Refused::Mismatch),
            (
                b"WT\x07".iter().copied().chain([0; 60]).collect(),
                Refused::Version,
            ),
            (
                b"GET / HTTP/1.1\r\nhost: example.com\r\n\r\n".to_vec(),
                Refused::Foreign,
            ),
            (b"WT".to_vec(), Refused::Foreign),
        ];
        for (datagram, why) in &refused {
            assert_eq!(heard(&mut own, datagram), Err(*why));
        }
        assert_eq!(
            own.sessions.len(),
            0,
            "nothing is kept of what was not proven"
        );
        let sealed = said(&mut own, b"x");
        assert_eq!(heard(&mut open, &sealed), Err(Refused::Mismatch));
    }

    #[test]
    fn keys_are_changed_in_two_phases_without_a_moment_of_deafness() {
        let (mut one, mut other) = (seal(&[1], 1), seal(&[1], 1));
        let talk = |one: &mut Seal, other: &mut Seal, is_heard: bool| {
            let there = said(one, b"there");
            assert_eq!(heard(other, &there).is_ok(), is_heard);
            let back = said(other, b"back");
            assert_eq!(heard(one, &back).is_ok(), is_heard);
        };
        talk(&mut one, &mut other, true);
        for (keys, seals) in [(vec![1, 2], 1), (vec![1, 2], 2), (vec![2], 2)] {
            one.set_ring(ring(&keys, seals));
            talk(&mut one, &mut other, true);
            other.set_ring(ring(&keys, seals));
            talk(&mut one, &mut other, true);
        }
        // Who was not told is out.
        let mut late = seal(&[1], 1);
        talk(&mut one, &mut late, false);
    }

    #[test]
    fn no_nonce_is_used_twice() {
        let mut one = seal(&[1], 1);
        let (first, second) = (said(&mut one, b"same"), said(&mut one, b"same"));
        assert_ne!(first[HEADER..], second[HEADER..]);
        let again = said(&mut seal(&[1], 1), b"same");
        assert_ne!(
            first[4..20],
            again[4..20],
            "a process has a salt of its own"
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let printed = format!("{:?}", seal(&[7], 7));
        assert!(
            !printed.contains("7, 7") && printed.contains('…'),
            "{printed}"
        );
    }

    #[test]
    fn rings_that_cannot_be_are_refused() {
        let key = |id| (id, SecretKey::new(&[id; 32]).unwrap());
        assert!(matches!(
            KeyRing::new(vec![key(1), key(1)], 1),
            Err(Error::KeyTwice(1))
        ));
        assert!(matches!(
            KeyRing::new(vec![key(1)], 2),
            Err(Error::NoSuchKey(2))
        ));
        assert!(matches!(SecretKey::new(b"short"), Err(Error::KeyLength(5))));
        assert!(matches!(Seal::new("", None), Err(Error::ClusterName(0))));
    }

    proptest! {
        #[test]
        fn garbage_and_tampering_are_refused_and_do_not_panic(
            garbage in prop::collection::vec(any::<u8>(), 0..200),
            what in prop::collection::vec(any::<u8>(), 0..100),
            at in any::<prop::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let (mut one, mut other) = (seal(&[1], 1), seal(&[1], 1));
            prop_assert!(heard(&mut other, &garbage).is_err());
            let good = said(&mut one, &what);
            let mut bad = good.clone();
            bad[at.index(good.len())] ^= flip;
            prop_assert!(heard(&mut other, &bad).is_err());
            for length in 0..good.len() {
                prop_assert!(heard(&mut other, &good[..length]).is_err());
            }
            prop_assert_eq!(heard(&mut other, &good), Ok(what));
        }
    }
}
