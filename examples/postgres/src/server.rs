//! A real PostgreSQL of our own: in a temporary directory, reached by a socket in it, and gone with us.
//!
//! It shares nothing with a server that the machine may run anyway. The server refuses to run as root;
//! root starts it as user `postgres`, which its package brings along.

use std::{
    fs, io,
    os::unix::{fs::chown, process::CommandExt as _},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use tokio_postgres::{Config, NoTls};

/// A server with 100 connections. Killed, and its files removed, when it is dropped.
#[derive(Debug)]
pub struct Server {
    directory: PathBuf,
    programs: PathBuf,
    owner: Option<(u32, u32)>,
    process: Option<Child>,
}

/// The connections that it takes.
const CONNECTIONS: u32 = 100;
/// How long it may take to be there.
const START: Duration = Duration::from_secs(20);

impl Server {
    /// Makes a cluster and starts it.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, or does not come up.
    pub async fn start() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("watertight-postgres-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory)?;
        let mut server = Self {
            directory,
            programs: programs()?,
            owner: owner()?,
            process: None,
        };
        if let Some((user, group)) = server.owner {
            chown(&server.directory, Some(user), Some(group))?;
        }
        let data = server.data();
        let mut initdb = server.command("initdb");
        initdb
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8"])
            .args(["--no-locale", "--no-sync", "--pgdata"])
            .arg(&data);
        let made = initdb.output()?;
        if !made.status.success() {
            let said = String::from_utf8_lossy(&made.stderr);
            return Err(io::Error::other(format!("initdb: {said}")));
        }
        server.restart().await?;
        Ok(server)
    }

    /// How to reach it.
    pub fn config(&self) -> Config {
        let mut config = Config::new();
        config
            .host_path(&self.directory)
            .user("postgres")
            .dbname("postgres")
            .connect_timeout(Duration::from_secs(5));
        config
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may be gone already.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Starts it again after it was killed. Its files are as they were.
    ///
    /// # Errors
    /// When it does not come up; its log says why.
    pub async fn restart(&mut self) -> io::Result<()> {
        self.kill();
        let begun = tokio::time::Instant::now();
        loop {
            if !self.is_running()? {
                // Its children may hold the memory of a server that was killed for a moment yet.
                self.process = Some(self.spawn()?);
            }
            if self.config().connect(NoTls).await.is_ok() {
                return Ok(());
            }
            if begun.elapsed() > START {
                let log = fs::read_to_string(self.log()).unwrap_or_default();
                return Err(io::Error::other(format!("postgres did not come up: {log}")));
            }
            // sleep: between two looks at whether it is there
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn is_running(&mut self) -> io::Result<bool> {
        match &mut self.process {
            Some(process) => Ok(process.try_wait()?.is_none()),
            None => Ok(false),
        }
    }

    fn spawn(&self) -> io::Result<Child> {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.log())?;
        let mut command = self.command("postgres");
        command.arg("-D").arg(self.data());
        command.args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        command.args(["-c", &format!("max_connections={CONNECTIONS}")]);
        command.arg("-c");
        command.arg(format!(
            "unix_socket_directories={}",
            self.directory.display()
        ));
        command.stdout(Stdio::null()).stderr(log).spawn()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(&self.directory).stdin(Stdio::null());
        if let Some((user, group)) = self.owner {
            command.uid(user).gid(group);
        }
        command
    }

    fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    fn log(&self) -> PathBuf {
        self.directory.join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // What is left behind in the temporary directory harms nobody.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Where `initdb` and `postgres` are: on the path, or where Debian keeps them.
fn programs() -> io::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.flatten().map(|version| version.path().join("bin"));
    places.extend(versions);
    let has_both = |place: &PathBuf| {
        ["initdb", "postgres"]
            .iter()
            .all(|name| place.join(name).is_file())
    };
    places.into_iter().rfind(has_both).ok_or_else(|| {
        io::Error::other(
            "PostgreSQL is not installed: apt-get install postgresql, or give DATABASE_URL",
        )
    })
}

/// As whom the server runs: none for ourselves.
fn owner() -> io::Result<Option<(u32, u32)>> {
    let number = |arguments: &[&str]| -> io::Result<u32> {
        let output = Command::new("id").args(arguments).output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim()
            .parse()
            .map_err(|_| io::Error::other(format!("id {}: no such user", arguments.join(" "))))
    };
    if number(&["-u"])? != 0 {
        return Ok(None);
    }
    Ok(Some((
        number(&["-u", "postgres"])?,
        number(&["-g", "postgres"])?,
    )))
}
