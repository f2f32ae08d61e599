//! A redis-server of the bench's own.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use watertight_guard::throttle::lease::Store;
use watertight_stores::{Redis, RedisSettings};

pub(crate) struct Server {
    child: Child,
    port: u16,
}

impl Server {
    pub(crate) async fn start(port: Option<u16>) -> Self {
        let free = || {
            TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port()
        };
        let port = port.unwrap_or_else(free);
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null());
        let child = command
            .spawn()
            .expect("redis-server starts; `cargo xtask bench` installs it");
        let server = Self { child, port };
        while server.info().await.is_none() {
            // sleep: the server is not listening yet.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server
    }

    pub(crate) async fn restart(self) -> Self {
        let port = self.port;
        drop(self);
        Self::start(Some(port)).await
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        let settings = RedisSettings {
            url: format!("redis://127.0.0.1:{}", self.port),
            password: None,
            prefix: "bench".to_owned(),
            timeout: Duration::from_millis(50),
        };
        Arc::new(Redis::new(settings).unwrap())
    }

    /// CPU time that the server has had.
    pub(crate) async fn cpu_seconds(&self) -> f64 {
        let info = self.info().await.unwrap();
        let of = |name: &str| -> f64 {
            let line = info.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().parse().unwrap()
        };
        of("used_cpu_user:") + of("used_cpu_sys:")
    }

    async fn info(&self) -> Option<String> {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.ok()?;
        redis::cmd("INFO")
            .arg("cpu")
            .query_async(&mut connection)
            .await
            .ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
