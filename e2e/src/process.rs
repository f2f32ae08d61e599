//! A process of ours: its output as it comes, its memory, signals, and its end.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::wait;

/// A process that is killed with -9 when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Lines,
}

/// The lines that a process has written so far.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<String>>>);

/// Which output is listened to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listen {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Process {
    /// Starts `command`, and reads one of its outputs. Its standard input stays open while it lives.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(command: &mut Command, listen: Listen) -> Self {
        command.stdin(Stdio::piped());
        match listen {
            Listen::Stdout => command.stdout(Stdio::piped()),
            Listen::Stderr => command.stderr(Stdio::piped()),
        };
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
        let lines = Lines::default();
        let output: Box<dyn Read + Send> = match listen {
            Listen::Stdout => Box::new(child.stdout.take().expect("piped above")),
            Listen::Stderr => Box::new(child.stderr.take().expect("piped above")),
        };
        let writer = lines.clone();
        std::thread::spawn(move || writer.fill(output));
        Self { child, lines }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Sends it a signal: `HUP`, `TERM`.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn signal(&self, name: &str) {
        let script = format!("kill -{name} {}", self.pid());
        let output = crate::programs::run("sh", ["-c", &script]);
        assert!(output.status.success(), "{script}: {output:?}");
    }

    /// Kills it with -9, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its exit, if it has ended.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// Waits for its exit.
    ///
    /// # Panics
    /// When it does not come within `limit`.
    pub fn exit(&mut self, limit: Duration) -> ExitStatus {
        wait::until("the end of a process", limit, || self.exited())
    }

    /// Its resident memory, in KiB.
    ///
    /// # Panics
    /// When it is gone.
    pub fn rss_kib(&self) -> u64 {
        rss_kib(self.pid()).expect("the process lives")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The resident memory of a process, in KiB.
pub fn rss_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

impl Lines {
    /// All of them.
    pub fn all(&self) -> Vec<String> {
        self.lock().clone()
    }

    /// How many contain `text`.
    pub fn count(&self, text: &str) -> usize {
        self.lock()
            .iter()
            .filter(|line| line.contains(text))
            .count()
    }

    /// Waits for the first line of which `look` makes something.
    ///
    /// # Panics
    /// When none comes; shows those that came.
    pub fn find<T>(&self, what: &str, look: impl Fn(&str) -> Option<T>) -> T {
        let found = || self.lock().iter().find_map(|line| look(line));
        let begun = tokio::time::Instant::now();
        wait::until(what, wait::SOON * 2, || {
            let late = begun.elapsed() > wait::SOON;
            let found = found();
            assert!(found.is_some() || !late, "{what}: {:#?}", self.all());
            found
        })
    }

    fn fill(&self, output: impl Read) {
        for line in BufReader::new(output).split(b'\n') {
            let Ok(line) = line else { return };
            let line = String::from_utf8_lossy(&line).into_owned();
            self.lock().push(line);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
