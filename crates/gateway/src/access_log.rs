//! The access log: lines of JSON, written by a thread of its own.
//!
//! A request never waits for the log. Lines go through a bounded queue; when whoever reads standard
//! output is too slow, lines are dropped, and counted.

use std::{
    io::{BufWriter, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

/// Lines that may wait for the writer.
const QUEUE_LINES: usize = 8_192;

/// Where records are written. Cloning copies a pointer.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    is_open: AtomicBool,
    lines: OnceLock<SyncSender<Vec<u8>>>,
    dropped: AtomicU64,
}

impl AccessLog {
    /// A log that writes to standard output while it is open.
    pub(crate) fn new(is_open: bool) -> std::io::Result<Self> {
        let shared = Shared {
            is_open: AtomicBool::new(false),
            lines: OnceLock::new(),
            dropped: AtomicU64::new(0),
        };
        let log = Self(Arc::new(shared));
        log.set_open(is_open)?;
        Ok(log)
    }

    /// Opens or closes the log; the thread starts when it is first opened.
    pub(crate) fn set_open(&self, is_open: bool) -> std::io::Result<()> {
        if is_open && self.0.lines.get().is_none() {
            let (sender, receiver) = sync_channel(QUEUE_LINES);
            std::thread::Builder::new()
                .name("access-log".to_owned())
                .spawn(move || write_lines(&receiver, std::io::stdout()))?;
            // Only one caller reloads at a time; a second sender would only end its own thread.
            let _ = self.0.lines.set(sender);
        }
        self.0.is_open.store(is_open, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.is_open.load(Ordering::Relaxed)
    }

    pub(crate) fn write(&self, line: Vec<u8>) {
        let Some(lines) = self.0.lines.get() else {
            return;
        };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = lines.try_send(line) {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Writes to the receiver instead, of a log that was never open.
    #[cfg(test)]
    pub(crate) fn captured(&self) -> Receiver<Vec<u8>> {
        let (sender, receiver) = sync_channel(QUEUE_LINES);
        assert!(self.0.lines.set(sender).is_ok(), "it was open");
        self.0.is_open.store(true, Ordering::Relaxed);
        receiver
    }

    /// Lines that were not written.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }
}

/// Writes until nobody can send any more, or the reader is gone; flushes when nothing is waiting.
fn write_lines(lines: &Receiver<Vec<u8>>, output: impl Write) {
    let mut output = BufWriter::new(output);
    loop {
        let line = match lines.try_recv() {
            Ok(line) => line,
            Err(_) => {
                if output.flush().is_err() {
                    return;
                }
                match lines.recv_timeout(Duration::from_secs(3600)) {
                    Ok(line) => line,
                    Err(RecvTimeoutError::Timeout) => continue,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        if output.write_all(&line).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let (sender, receiver) = sync_channel(10);
        for number in 0..10 {
            sender.send(format!("{number}\n").into_bytes()).unwrap();
        }
        drop(sender);
        let mut output = Vec::new();
        write_lines(&receiver, &mut output);
        assert_eq!(output, b"0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    }

    #[test]
    fn a_queue_that_is_full_drops_and_counts() {
        let log = AccessLog::new(false).unwrap();
        let (sender, receiver) = sync_channel(1);
        log.0.lines.set(sender).unwrap();
        log.write(b"a\n".to_vec());
        log.write(b"b\n".to_vec());
        assert_eq!(log.dropped(), 1);
        assert_eq!(receiver.recv().unwrap(), b"a\n");
    }
}
