//! foca's members in the world, with an identity of six bytes and a codec as small as can be.

use std::{num::NonZeroU32, time::Duration};

use bytes::{Buf, BufMut};
use foca::{
    Codec, Config, Header, Identity, Member, Message, NoCustomBroadcast, Notification, Runtime,
    State, Timer,
};
use rand::{SeedableRng, rngs::SmallRng};

use super::wire::{Cluster, Out};

pub(crate) struct Foca {
    members: Vec<foca::Foca<Id, Small, SmallRng, NoCustomBroadcast>>,
}

/// A member: which one, and how often it had to take another name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Id {
    place: u32,
    renewed: u16,
}

impl Identity for Id {
    type Addr = u32;

    fn renew(&self) -> Option<Self> {
        Some(Self {
            renewed: self.renewed.wrapping_add(1),
            ..*self
        })
    }

    fn addr(&self) -> u32 {
        self.place
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.renewed > adversary.renewed
    }
}

impl Cluster for Foca {
    type Timer = Timer<Id>;

    fn new(members: usize, seed: u64) -> Self {
        let size = NonZeroU32::new(u32::try_from(members).unwrap()).unwrap();
        let member = |place: u32| {
            let chance = SmallRng::seed_from_u64(seed << 32 | u64::from(place));
            foca::Foca::new(id(place), Config::new_lan(size), chance, Small)
        };
        Self {
            members: (0..size.get()).map(member).collect(),
        }
    }

    /// They know each other from the beginning.
    fn settle(_: usize) -> Duration {
        Duration::from_secs(20)
    }

    fn begin(&mut self, member: usize, now: Duration, out: &mut Out<Self::Timer>) {
        let size = u32::try_from(self.members.len()).unwrap();
        let all = (0..size).map(id).map(Member::alive);
        let others = all.filter(|other| other.id().place as usize != member);
        let mut way = Way { now, out };
        self.members[member]
            .apply_many(others, false, &mut way)
            .unwrap();
    }

    fn datagram(
        &mut self,
        member: usize,
        _: usize,
        bytes: &[u8],
        now: Duration,
        out: &mut Out<Self::Timer>,
    ) {
        // It says so when a datagram came for a name that it had before.
        let _ = self.members[member].handle_data(bytes, &mut Way { now, out });
    }

    fn wake(
        &mut self,
        member: usize,
        timer: Self::Timer,
        now: Duration,
        out: &mut Out<Self::Timer>,
    ) {
        let _ = self.members[member].handle_timer(timer, &mut Way { now, out });
    }
}

fn id(place: u32) -> Id {
    Id { place, renewed: 0 }
}

struct Way<'o> {
    now: Duration,
    out: &'o mut Out<Timer<Id>>,
}

impl Runtime<Id> for Way<'_> {
    fn notify(&mut self, notification: Notification<'_, Id>) {
        match notification {
            Notification::MemberUp(id) => self.out.lives.push((id.place as usize, true)),
            Notification::MemberDown(id) => self.out.lives.push((id.place as usize, false)),
            _ => {}
        }
    }

    fn send_to(&mut self, to: Id, data: &[u8]) {
        self.out.sent.push((to.place as usize, data.to_vec()));
    }

    fn submit_after(&mut self, event: Timer<Id>, after: Duration) {
        self.out.timers.push((self.now + after, event));
    }
}

/// Numbers as they are, one after the other.
struct Small;

#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

impl Codec<Id> for Small {
    type Error = Broken;

    fn encode_header(&mut self, header: &Header<Id>, mut buf: impl BufMut) -> Result<(), Broken> {
        put_id(&mut buf, header.src);
        buf.put_u16(header.src_incarnation);
        put_id(&mut buf, header.dst);
        let (kind, other, probe) = match &header.message {
            Message::Ping(probe) => (0, None, Some(*probe)),
            Message::Ack(probe) => (1, None, Some(*probe)),
            Message::PingReq {
                target,
                probe_number,
            } => (2, Some(*target), Some(*probe_number)),
            Message::IndirectPing {
                origin,
                probe_number,
            } => (3, Some(*origin), Some(*probe_number)),
            Message::IndirectAck {
                target,
                probe_number,
            } => (4, Some(*target), Some(*probe_number)),
            Message::ForwardedAck {
                origin,
                probe_number,
            } => (5, Some(*origin), Some(*probe_number)),
            Message::Announce => (6, None, None),
            Message::Feed => (7, None, None),
            Message::Gossip => (8, None, None),
            Message::Broadcast => (9, None, None),
            Message::TurnUndead => (10, None, None),
        };
        buf.put_u8(kind);
        if let Some(other) = other {
            put_id(&mut buf, other);
        }
        if let Some(probe) = probe {
            buf.put_u8(probe);
        }
        Ok(())
    }

    fn decode_header(&mut self, mut buf: impl Buf) -> Result<Header<Id>, Broken> {
        let src = get_id(&mut buf)?;
        let src_incarnation = buf.try_get_u16().map_err(|_| Broken)?;
        let dst = get_id(&mut buf)?;
        let kind = buf.try_get_u8().map_err(|_| Broken)?;
        let other = match kind {
            2..=5 => Some(get_id(&mut buf)?),
            _ => None,
        };
        let probe_number = match kind {
            0..=5 => buf.try_get_u8().map_err(|_| Broken)?,
            _ => 0,
        };
        let message = match (kind, other) {
            (0, _) => Message::Ping(probe_number),
            (1, _) => Message::Ack(probe_number),
            (2, Some(target)) => Message::PingReq {
                target,
                probe_number,
            },
            (3, Some(origin)) => Message::IndirectPing {
                origin,
                probe_number,
            },
            (4, Some(target)) => Message::IndirectAck {
                target,
                probe_number,
            },
            (5, Some(origin)) => Message::ForwardedAck {
                origin,
                probe_number,
            },
            (6, _) => Message::Announce,
            (7, _) => Message::Feed,
            (8, _) => Message::Gossip,
            (9, _) => Message::Broadcast,
            (10, _) => Message::TurnUndead,
            _ => return Err(Broken),
        };
        Ok(Header {
            src,
            src_incarnation,
            dst,
            message,
        })
    }

    fn encode_member(&mut self, member: &Member<Id>, mut buf: impl BufMut) -> Result<(), Broken> {
        // The buffer may be full, and it is foca that asks whether the member still fitted.
        if buf.remaining_mut() < 9 {
            return Err(Broken);
        }
        put_id(&mut buf, *member.id());
        buf.put_u16(member.incarnation());
        buf.put_u8(match member.state() {
            State::Alive => 0,
            State::Suspect => 1,
            State::Down => 2,
        });
        Ok(())
    }

    fn decode_member(&mut self, mut buf: impl Buf) -> Result<Member<Id>, Broken> {
        let id = get_id(&mut buf)?;
        let incarnation = buf.try_get_u16().map_err(|_| Broken)?;
        let state = match buf.try_get_u8().map_err(|_| Broken)? {
            0 => State::Alive,
            1 => State::Suspect,
            2 => State::Down,
            _ => return Err(Broken),
        };
        Ok(Member::new(id, incarnation, state))
    }
}

fn put_id(buf: &mut impl BufMut, id: Id) {
    buf.put_u32(id.place);
    buf.put_u16(id.renewed);
}

fn get_id(buf: &mut impl Buf) -> Result<Id, Broken> {
    Ok(Id {
        place: buf.try_get_u32().map_err(|_| Broken)?,
        renewed: buf.try_get_u16().map_err(|_| Broken)?,
    })
}
