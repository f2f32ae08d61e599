//! What the monitor remembers over its own restart, in small records.
//!
//! A node that is new, has started again, or has another life is written within a second. When its
//! last beat came is written once a minute, a part of all nodes each second, as it changes all the
//! time and is only needed to tell ages after a restart; a monitor that is told to stop writes all.
//!
//! Over a restart the time of day tells how long nobody listened. It decides nothing else: a monitor
//! that has just started judges nobody for a grace, so a clock that was set makes ages wrong until the
//! next beats, and buries nobody.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::{
    sync::{broadcast::error::RecvError, oneshot},
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use watertight_base::NodeId;
use watertight_heartbeat::{Life, Notice, Remembered};
use watertight_stores::{Batch, Record, Records, RecordsError};

use super::{
    Beats,
    words::{millis, now},
};

/// Keeps what a monitor must remember, until this is dropped or finished.
#[derive(Debug)]
pub struct Keeping {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Keeping {
    /// What was kept. A record that is none of ours, or of a later version, is left as it is.
    ///
    /// # Errors
    /// As [`Records::list`].
    pub async fn remembered(records: &dyn Records) -> Result<Vec<Remembered>, RecordsError> {
        let (at, mut found, mut after) = (now(), Vec::new(), None);
        loop {
            let page = records
                .list(TABLE, after.as_deref(), Record::PAGE_MAX)
                .await?;
            let Some((last, _)) = page.last() else {
                return Ok(found);
            };
            after = Some(last.clone());
            found.extend(page.iter().filter_map(|(key, record)| {
                let node = read(key, &record.value, at);
                if node.is_none() {
                    tracing::warn!(key, "what was kept of this node cannot be read");
                }
                node
            }));
        }
    }

    /// Begins to keep. Must be called on a tokio runtime.
    pub fn start(beats: Beats, records: Arc<dyn Records>) -> Self {
        let (stop, stopped) = oneshot::channel();
        let ledger = Ledger {
            beats,
            records,
            changed: BTreeSet::new(),
            from: 0,
            is_failing: false,
        };
        let task = tokio::spawn(ledger.keep(stopped));
        Self {
            stop: Some(stop),
            task,
        }
    }

    /// Keeps all as it is now, and ends.
    pub async fn finish(mut self) {
        if let Some(stop) = self.stop.take() {
            // It ends by itself only when the monitor has.
            let _ = stop.send(());
            let _ = (&mut self.task).await;
        }
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Ledger {
    beats: Beats,
    records: Arc<dyn Records>,
    /// Who is to be written next.
    changed: BTreeSet<NodeId>,
    /// Where the part of all nodes begins that is written next.
    from: usize,
    is_failing: bool,
}

impl Ledger {
    async fn keep(mut self, mut stopped: oneshot::Receiver<()>) {
        let mut notices = self.beats.notices();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = &mut stopped => break,
                notice = notices.recv() => match notice {
                    Ok(notice) => self.note(notice),
                    // Who was missed is among all, in a minute.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                },
                _ = ticks.tick() => {
                    self.write_changed().await;
                    self.write_part().await;
                }
            }
        }
        self.write_changed().await;
        let mut from = Some(0);
        while let Some(place) = from {
            let (page, next) = self.beats.remember_page(place, Record::BATCH_MAX);
            self.write(page.iter().map(written).collect()).await;
            from = next;
        }
    }

    fn note(&mut self, notice: Notice) {
        match notice {
            Notice::Life { id, .. } | Notice::Restarted { id, .. } | Notice::Forgotten { id } => {
                self.changed.insert(id);
            }
            _ => {}
        }
    }

    async fn write_changed(&mut self) {
        while !self.changed.is_empty() {
            let ids: Vec<NodeId> = self
                .changed
                .iter()
                .take(Record::BATCH_MAX)
                .cloned()
                .collect();
            let entries = ids.iter().map(|id| match self.beats.remember(id) {
                Some(node) => written(&node),
                None => (id.to_string(), None),
            });
            let batch: Batch = entries.collect();
            if !self.write(batch).await {
                return;
            }
            for id in ids {
                self.changed.remove(&id);
            }
        }
    }

    async fn write_part(&mut self) {
        let known = self.beats.view().known;
        let mut left = known.div_ceil(PARTS);
        while left > 0 {
            let most = left.min(Record::BATCH_MAX);
            let (page, next) = self.beats.remember_page(self.from, most);
            if !self.write(page.iter().map(written).collect()).await {
                return;
            }
            left -= most;
            self.from = next.unwrap_or(0);
        }
    }

    /// Whether it is written. What failed is tried again, and told when it begins and ends.
    async fn write(&mut self, batch: Batch) -> bool {
        if batch.is_empty() {
            return true;
        }
        let put = self.records.put(TABLE, batch).await;
        match &put {
            Err(error) if !self.is_failing => {
                tracing::error!(%error, "what must outlive a restart of the monitor is not kept");
            }
            Ok(()) if self.is_failing => {
                tracing::info!("what must outlive a restart of the monitor is kept again");
            }
            Ok(()) | Err(_) => {}
        }
        self.is_failing = put.is_err();
        put.is_ok()
    }
}

fn written(node: &Remembered) -> (String, Option<Vec<u8>>) {
    (node.id.to_string(), Some(write(node, now())))
}

/// `version 1 | life 1 | last seen, ms since 1970, 8 | generation 8 | sequence 8 | interval, ms, 8 |
/// metadata`, little-endian.
fn write(node: &Remembered, at: SystemTime) -> Vec<u8> {
    let life = match node.life {
        Life::Alive => 0,
        Life::Suspected => 1,
        Life::Dead => 2,
        Life::Left => 3,
    };
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let last_seen = millis(since_1970.saturating_sub(node.age));
    let mut bytes = vec![VERSION, life];
    for number in [
        last_seen,
        node.generation,
        node.sequence,
        millis(node.interval),
    ] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(&node.metadata);
    bytes
}

fn read(key: &str, bytes: &[u8], at: SystemTime) -> Option<Remembered> {
    let ([version, life], rest) = bytes.split_first_chunk()?;
    let life = match life {
        0 => Life::Alive,
        1 => Life::Suspected,
        2 => Life::Dead,
        3 => Life::Left,
        _ => return None,
    };
    let (numbers, metadata) = rest.split_first_chunk::<32>()?;
    let (numbers, _) = numbers.as_chunks::<8>();
    let [last_seen, generation, sequence, interval] = numbers else {
        return None;
    };
    let last_seen =
        UNIX_EPOCH.checked_add(Duration::from_millis(u64::from_le_bytes(*last_seen)))?;
    (*version == VERSION).then_some(())?;
    Some(Remembered {
        id: key.parse().ok()?,
        age: at.duration_since(last_seen).unwrap_or_default(),
        life,
        generation: u64::from_le_bytes(*generation),
        sequence: u64::from_le_bytes(*sequence),
        interval: Duration::from_millis(u64::from_le_bytes(*interval)),
        metadata: metadata.into(),
    })
}

/// The table of records.
const TABLE: &str = "heartbeats";
const VERSION: u8 = 1;
/// How often is written.
const EVERY: Duration = Duration::from_secs(1);
/// In how many parts all nodes are written.
const PARTS: usize = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back_and_garbage_is_none(
            life in 0..4_usize,
            numbers in prop::array::uniform3(any::<u64>()),
            interval_ms in 1..100_000_u64,
            age_ms in 0..1_000_000_u64,
            metadata in prop::collection::vec(any::<u8>(), 0..100),
            garbage in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let node = Remembered {
                id: "n1".parse().unwrap(),
                age: Duration::from_millis(age_ms),
                life: [Life::Alive, Life::Suspected, Life::Dead, Life::Left][life],
                generation: numbers[0],
                sequence: numbers[1],
                interval: Duration::from_millis(interval_ms),
                metadata: metadata.into(),
            };
            let at = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
            let bytes = write(&node, at);
            prop_assert_eq!(read("n1", &bytes, at), Some(node.clone()));
            let later = read("n1", &bytes, at + Duration::from_secs(5)).unwrap();
            prop_assert_eq!(later.age, node.age + Duration::from_secs(5));
            prop_assert_eq!(read("n1", &bytes[..33], at), None);
            let _ = read("n1", &garbage, at);
        }
    }
}
