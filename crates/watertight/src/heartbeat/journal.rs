//! What changes, in the log: who joined, who is suspected and by whom, who died, and when judgement
//! is suspended.
//!
//! A log is for people: of what changes for very many nodes at once the first hundred in ten seconds
//! are told, and of the rest how many they are.

use std::{fmt::Display, time::Duration};

use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, timeout_at},
};
use watertight_heartbeat::{Event, Life, Notice};

/// Begins to tell of what the monitor says, on the runtime that this is called on.
pub(super) fn of_nodes(notices: Receiver<Notice>) {
    tokio::spawn(keep(notices, of_node));
}

/// Begins to tell of what the member says.
pub(super) fn of_members(events: Receiver<Event>) {
    tokio::spawn(keep(events, of_member));
}

async fn keep<T: Clone>(mut news: Receiver<T>, tell: fn(&T)) {
    let mut ends = Instant::now() + WINDOW;
    let (mut told, mut left_out) = (0, 0);
    loop {
        let item = timeout_at(ends, news.recv()).await;
        if Instant::now() >= ends {
            if left_out > 0 {
                tracing::warn!(
                    left_out,
                    "more has changed about who is alive than is told here"
                );
            }
            (told, left_out) = (0, 0);
            ends = Instant::now() + WINDOW;
        }
        match item {
            Ok(Ok(item)) if told < LINES_MAX => {
                told += 1;
                tell(&item);
            }
            Ok(Ok(_)) => left_out += 1,
            Ok(Err(RecvError::Lagged(missed))) => left_out += missed,
            Ok(Err(RecvError::Closed)) => return,
            Err(_) => {}
        }
    }
}

fn of_node(notice: &Notice) {
    match notice {
        Notice::Life { id, from: None, to } => {
            tracing::info!(node = %id, life = %to, "a node beats");
        }
        Notice::Life {
            id,
            from: Some(from),
            to,
        } => match to {
            Life::Alive | Life::Left => {
                tracing::info!(node = %id, was = %from, life = %to, "a node's life changed");
            }
            Life::Suspected | Life::Dead => {
                tracing::warn!(node = %id, was = %from, life = %to, "a node's life changed");
            }
        },
        Notice::Restarted { id, generation } => {
            tracing::info!(node = %id, generation, "a node has started again");
        }
        Notice::Forgotten { id } => tracing::info!(node = %id, "a node is forgotten"),
        Notice::Suspended => {
            tracing::warn!("no node is heard any more, so none is judged until one is");
        }
        Notice::Resumed => tracing::info!("nodes are heard again, and judged after the grace"),
        // A notice that this version has no words for.
        _ => {}
    }
}

fn of_member(event: &Event) {
    match event {
        Event::Joined(member) => tracing::info!(%member, "a member has joined"),
        Event::Returned(member) => tracing::info!(%member, "a member is back"),
        Event::Suspected { id, accuser } => {
            tracing::warn!(member = %id, accuser = name(accuser), "a member is suspected");
        }
        Event::Trusted(member) => tracing::info!(%member, "a member denied the suspicion"),
        Event::Dead { id, accuser } => {
            tracing::warn!(member = %id, accuser = name(accuser), "a member is dead");
        }
        Event::Left(member) => tracing::info!(%member, "a member has left"),
        Event::Refuted { accuser } => {
            tracing::warn!(
                accuser = name(accuser),
                "this member was suspected, and denied it"
            );
        }
        Event::Superseded { generation } => tracing::error!(
            generation,
            "another process with this node's name has started since: this one says nothing more \
             in the cluster, and should end"
        ),
        Event::Paused(span) => {
            let ms = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(ms, "this member stood still, and judges nobody for a while");
        }
        Event::Deaf => tracing::warn!("no member is heard any more, so none is judged"),
        Event::Hearing => tracing::info!("members are heard again"),
        Event::Changed(_) => {}
        // An event that this version has no words for.
        _ => {}
    }
}

fn name<T: Display>(accuser: &Option<T>) -> String {
    accuser
        .as_ref()
        .map_or("not known".to_owned(), ToString::to_string)
}

/// How long a count of lines lasts.
const WINDOW: Duration = Duration::from_secs(10);
/// Lines in that time.
const LINES_MAX: u32 = 100;
