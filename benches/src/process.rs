//! What other processes cost.

use std::fs;

/// CPU time that a process and its children have had, in nanoseconds, from the scheduler's own
/// count; 0 where there is none.
#[must_use]
pub fn process_cpu_ns(id: u32) -> f64 {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    let family = children
        .split_whitespace()
        .map(str::to_owned)
        .chain([id.to_string()]);
    let tasks = family.flat_map(|id| {
        fs::read_dir(format!("/proc/{id}/task"))
            .into_iter()
            .flatten()
    });
    tasks
        .filter_map(|task| {
            let stat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<f64>().ok()
        })
        .sum()
}
