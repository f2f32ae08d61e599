//! How the node itself is doing: how late its event loops wake, and how full its memory is.
//!
//! Each runtime has a probe that asks to be woken and sees how late that was; the latest tells, since
//! one runtime that hangs is one tier that waits. Memory is what the process holds of what the
//! system allows it (its control group's limit, else the machine's).

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use watertight_base::{Percent, Tier};
use watertight_guard::health::Signal;

use crate::shared::Shared;

/// How often a probe asks to be woken.
const PROBE_EVERY: Duration = Duration::from_millis(100);
/// How often signals are passed on; decisions are made at the interval of the settings.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Watches as long as `shared` is there.
pub(crate) fn watch(shared: &Arc<Shared>) {
    let latest = Arc::new(AtomicU64::new(0));
    let runtimes = &shared.runtimes;
    let tiers = [Tier::One, Tier::Two, Tier::Three].map(|tier| runtimes.of(tier));
    for runtime in tiers.into_iter().chain([runtimes.front()]) {
        runtime.spawn(probe(Arc::downgrade(shared), Arc::clone(&latest)));
    }
    runtimes.front().spawn(look(Arc::downgrade(shared), latest));
}

/// Notes how late it is woken.
async fn probe(shared: Weak<Shared>, latest: Arc<AtomicU64>) {
    while let Some(shared) = shared.upgrade() {
        let due = shared.clock.now() + PROBE_EVERY;
        drop_and_sleep(shared, due, &latest).await;
    }
}

async fn drop_and_sleep(shared: Arc<Shared>, due: watertight_base::Tick, latest: &AtomicU64) {
    let clock = shared.clock;
    drop(shared);
    tokio::time::sleep_until(clock.instant(due).into()).await;
    let late = clock.now() - due;
    let late = u64::try_from(late.as_nanos()).unwrap_or(u64::MAX);
    latest.fetch_max(late, Ordering::Relaxed);
}

/// Passes on what there is to see.
async fn look(shared: Weak<Shared>, latest: Arc<AtomicU64>) {
    let most = memory::limit();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let lag = Duration::from_nanos(latest.swap(0, Ordering::Relaxed));
        shared.admission.on_signal(Signal::LoopLag(lag));
        if let Some(share) = most.and_then(|most| share(memory::in_use()?, most)) {
            shared.admission.on_signal(Signal::Memory(share));
        }
        shared.admission.on_health_interval();
    }
}

fn share(bytes: u64, most: u64) -> Option<Percent> {
    let share = bytes as f64 * 100.0 / most as f64;
    Percent::try_from(share.min(100.0)).ok()
}

/// What Linux says of the memory of a process; nothing elsewhere.
mod memory {
    use std::fs;

    const KIB: u64 = 1024;

    /// Bytes that the process holds.
    pub(super) fn in_use() -> Option<u64> {
        kib(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")
    }

    /// Bytes that it may hold: the limit of its control group (versions 2 and 1) or the machine's.
    pub(super) fn limit() -> Option<u64> {
        let machine = kib(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let group = groups
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .unwrap_or("/");
        let files = [
            format!("/sys/fs/cgroup{}/memory.max", group.trim_end_matches('/')),
            "/sys/fs/cgroup/memory.max".to_owned(),
            "/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned(),
        ];
        let limits = files
            .iter()
            .filter_map(|file| fs::read_to_string(file).ok()?.trim().parse().ok());
        limits.chain([machine]).min()
    }

    /// The figure of a line like `VmRSS:  1234 kB`.
    fn kib(text: &str, name: &str) -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let figure: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(figure * KIB)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_process_holds_some_of_what_it_may() {
            let (in_use, limit) = (in_use().unwrap(), limit().unwrap());
            assert!(in_use > 0 && in_use < limit, "{in_use} of {limit}");
        }

        #[test]
        fn figures_are_read_and_other_text_is_not() {
            assert_eq!(kib("a: 1 kB\nVmRSS:\t  12 kB\n", "VmRSS:"), Some(12 * KIB));
            assert_eq!(kib("VmRSS: twelve kB", "VmRSS:"), None);
            assert_eq!(kib("", "VmRSS:"), None);
        }
    }
}
