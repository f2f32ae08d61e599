//! Members over real sockets on loopback, with intervals short enough to wait for.
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;
use watertight_base::NodeId;
use watertight_cluster::{Error, Gossip, GossipSpec, KeyRing, SecretKey};
use watertight_heartbeat::{Event, Life, MembershipSpec, Metadata};

use crate::PATIENCE;

fn id(place: usize) -> NodeId {
    format!("n{place}").parse().unwrap()
}

fn ring(key: u8) -> KeyRing {
    KeyRing::new(vec![(1, SecretKey::new(&[key; 32]).unwrap())], 1).unwrap()
}

fn spec(place: usize, seeds: Vec<SocketAddr>, key: Option<u8>) -> GossipSpec {
    let bind: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let mut membership = MembershipSpec::new(id(place), bind, 1, place as u64);
    membership.seeds = seeds;
    membership.interval = Duration::from_millis(200);
    membership.timeout = Duration::from_millis(100);
    membership.gossip_interval = Duration::from_millis(40);
    membership.sync_interval = Duration::from_secs(2);
    membership.alpha = 2;
    GossipSpec {
        bind,
        cluster: "shop".to_owned(),
        ring: key.map(ring),
        membership,
    }
}

async fn cluster(size: usize) -> Vec<Gossip> {
    let mut members = vec![Gossip::open(spec(0, Vec::new(), Some(1))).unwrap()];
    let seed = members[0].address();
    for place in 1..size {
        members.push(Gossip::open(spec(place, vec![seed], Some(1))).unwrap());
    }
    for (place, member) in members.iter().enumerate() {
        until(
            member,
            |event| matches!(event, Event::Joined(_)),
            || member.handle().view().present == size,
        )
        .await
        .unwrap_or_else(|| panic!("{place} knows {:?}", member.handle().members()));
    }
    members
}

/// Waits until something is so, looking again at each event of interest.
async fn until(
    member: &Gossip,
    is_of_interest: impl Fn(&Event) -> bool,
    is_so: impl Fn() -> bool,
) -> Option<()> {
    let mut events: Receiver<Event> = member.handle().events();
    let wait = async {
        while !is_so() {
            loop {
                match events.recv().await {
                    Ok(event) if is_of_interest(&event) => break,
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
        }
    };
    timeout(PATIENCE, wait).await.ok()
}

#[tokio::test]
async fn members_find_each_other_and_bury_who_falls_silent_and_nobody_else() {
    let mut members = cluster(5).await;
    drop(members.remove(3));
    for member in &members {
        let dead = || member.handle().life(&id(3)) == Some(Life::Dead);
        until(member, |event| matches!(event, Event::Dead { .. }), dead)
            .await
            .unwrap();
    }
    for member in &members {
        for other in [0, 1, 2, 4] {
            let life = member.handle().life(&id(other));
            assert!(life.is_some_and(Life::is_present), "{other}: {life:?}");
        }
    }
}

#[tokio::test]
async fn who_leaves_is_known_to_have_left() {
    let mut members = cluster(3).await;
    members.remove(2).leave().await;
    for member in &members {
        let left = || member.handle().life(&id(2)) == Some(Life::Left);
        until(member, |event| matches!(event, Event::Left(_)), left)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_a_member_says_of_itself_reaches_the_others() {
    let members = cluster(3).await;
    let metadata = Metadata {
        load: Some(40),
        ..Metadata::default()
    };
    members[1].handle().set_metadata(&metadata).unwrap();
    for place in [0, 2] {
        let knows = || {
            let all = members[place].handle().members();
            let one = all.into_iter().find(|member| member.id == id(1));
            one.is_some_and(|member| member.metadata.as_ref() == Some(&metadata))
        };
        until(
            &members[place],
            |event| matches!(event, Event::Changed(_)),
            knows,
        )
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn strangers_are_counted_and_not_heard() {
    let members = cluster(2).await;
    let seed = members[0].address();
    let stranger = Gossip::open(spec(9, vec![seed], Some(2))).unwrap();
    let naked = Gossip::open(spec(8, vec![seed], None)).unwrap();
    let garbage = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    garbage.send_to(b"hello?", seed).await.unwrap();
    garbage.send_to(&[0; 1_500], seed).await.unwrap();
    let counted = async {
        loop {
            let refused = members[0].handle().refused();
            if refused.unsealed > 0 && refused.mismatch > 0 && refused.foreign > 1 {
                break;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, counted).await.unwrap();
    assert_eq!(members[0].handle().view().members, 2);
    for outsider in [stranger, naked] {
        assert_eq!(outsider.handle().view().members, 1);
    }
}

#[tokio::test]
async fn without_a_key_only_loopback_is_spoken_to() {
    let mut open = spec(0, Vec::new(), None);
    open.bind = "0.0.0.0:0".parse().unwrap();
    let refused = Gossip::open(open);
    assert!(matches!(refused, Err(Error::NoKey(_))), "{refused:?}");
}
