//! A real redis-server of its own, on a free port.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use watertight_stores::{Redis, RedisSettings};

pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    password: Option<String>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_on(free_port(), None).await
    }

    pub(crate) async fn start_on(port: u16, password: Option<&str>) -> Self {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null());
        if let Some(password) = password {
            command.args(["--requirepass", password]);
        }
        let child = command
            .spawn()
            .expect("redis-server starts; `cargo xtask test` installs it");
        let server = Self {
            child,
            port,
            password: password.map(str::to_owned),
        };
        while server.command(&["PING"]).await.is_none() {
            // sleep: the server is not listening yet.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server
    }

    /// Kills it with -9, and starts an empty one in its place.
    pub(crate) async fn restart(mut self) -> Self {
        let (port, password) = (self.port, self.password.clone());
        self.kill();
        drop(self);
        Self::start_on(port, password.as_deref()).await
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    pub(crate) fn go_on(&self) {
        self.signal("-CONT");
    }

    /// A store over this server, or over whatever listens on another port in its place.
    pub(crate) fn store(&self, port: u16) -> Redis {
        self.store_within(port, Duration::from_millis(50))
    }

    /// A store over this server that answers even on a machine that stands still for a while.
    pub(crate) fn patient_store(&self) -> Redis {
        self.store_within(self.port, Duration::from_secs(10))
    }

    /// Sends a command by itself; `None` if the server is not there.
    pub(crate) async fn command(&self, words: &[&str]) -> Option<redis::Value> {
        let password = self.password.as_ref();
        let user = password.map_or(String::new(), |password| format!(":{password}@"));
        let url = format!("redis://{user}127.0.0.1:{}/0", self.port);
        let client = redis::Client::open(url).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.ok()
    }

    fn store_within(&self, port: u16, timeout: Duration) -> Redis {
        Redis::new(RedisSettings {
            url: format!("redis://127.0.0.1:{port}/0"),
            password: self.password.clone(),
            prefix: "test".to_owned(),
            timeout,
        })
        .unwrap()
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(status.success(), "kill {signal} {pid}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
