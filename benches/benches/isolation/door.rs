//! A proxy as a process, stopped when it is dropped.

use std::{
    net::{Ipv4Addr, SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use watertight_benches::process_cpu_ns;

pub(crate) struct Door {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Door {
    fn drop(&mut self) {
        // SIGTERM, so that nginx's master takes its worker along.
        let told = Command::new("kill")
            .arg(self.process.id().to_string())
            .status();
        if told.is_ok_and(|status| status.success()) {
            let _ = self.process.wait();
        }
    }
}

impl Door {
    /// Starts it, and waits until it takes connections.
    ///
    /// # Errors
    /// When it ends instead.
    pub(crate) fn start(command: &mut Command, port: u16) -> Result<Self, String> {
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = quiet
            .spawn()
            .map_err(|error| format!("{command:?}: {error}"))?;
        let mut door = Self {
            process,
            address: (Ipv4Addr::LOCALHOST, port).into(),
        };
        loop {
            if let Ok(Some(status)) = door.process.try_wait() {
                return Err(format!("{command:?} ended by itself: {status}"));
            }
            if TcpStream::connect(door.address).is_ok() {
                return Ok(door);
            }
            std::thread::yield_now();
        }
    }

    /// CPU time of the process and its children so far, in nanoseconds.
    pub(crate) fn cpu_ns(&self) -> f64 {
        process_cpu_ns(self.process.id())
    }
}
