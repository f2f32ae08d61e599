//! The directory that is a node's alone.
//!
//! Two nodes that write into one directory would each undo what the other did. So the directory is
//! locked before anything else happens, and a second node refuses to start and names the first.
//! The operating system gives the lock back when the process ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use watertight_base::NodeId;

/// The file in the directory that is locked, and that says by whom.
const LOCK: &str = "node.lock";
/// The file that says how often the node has started.
const GENERATION: &str = "generation";

/// A directory that this process holds. Dropping it gives it back.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a directory cannot be held.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// Another node holds it.
    #[error("{} belongs to another node that is running ({holder})", path.display())]
    Held {
        /// The directory.
        path: PathBuf,
        /// Who holds it, by its own account: `pid 7, node edge-1`.
        holder: String,
    },
    /// What was kept of how often the node has started is no number.
    #[error(
        "{} should hold a number, how often this node has started, and does not: write one into it that is higher than any before, or remove it if the clock is right", .0.display()
    )]
    Generation(PathBuf),
    /// It cannot be made, opened or written.
    #[error("{} cannot be used as the data directory: {source}", path.display())]
    Io {
        /// The directory or the file in it.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
}

impl DataDir {
    /// Holds the directory `path` for `node`. It is made, for this user alone, when it is missing.
    ///
    /// # Errors
    /// [`DataError::Held`] when another process holds it, [`DataError::Io`] when it cannot be
    /// made, opened or written.
    pub fn open(path: &Path, node: &NodeId) -> Result<Self, DataError> {
        let wrap = |at: &Path| {
            let path = at.to_owned();
            move |source| DataError::Io { path, source }
        };
        create(path).map_err(wrap(path))?;
        let file = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&file)
            .map_err(wrap(&file))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(DataError::Held {
                    path: path.to_owned(),
                    holder: holder(&mut lock),
                });
            }
            Err(TryLockError::Error(source)) => return Err(wrap(&file)(source)),
        }
        sign(&mut lock, node).map_err(wrap(&file))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// How often a node has started, as a number that is higher after each start: one more than after the
/// last start, and at least the milliseconds since 1970. So neither a lost directory nor a clock that goes
/// back brings an old number again; both together may, and without a directory the clock alone may.
///
/// # Errors
/// [`DataError::Io`] when it cannot be read or kept, [`DataError::Generation`] when what was kept is
/// no number.
pub fn generation(data: Option<&DataDir>, at: SystemTime) -> Result<u64, DataError> {
    let since_1970 = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let since_1970 = u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX);
    let Some(data) = data else {
        return Ok(since_1970);
    };
    let file = data.path.join(GENERATION);
    let wrap = |source| DataError::Io {
        path: file.clone(),
        source,
    };
    let last = match std::fs::read_to_string(&file) {
        Ok(text) => text.trim().parse::<u64>().ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(0),
        Err(error) => return Err(wrap(error)),
    };
    let last = last.ok_or_else(|| DataError::Generation(file.clone()))?;
    let generation = last.saturating_add(1).max(since_1970);
    keep(&data.path, &file, generation).map_err(wrap)?;
    Ok(generation)
}

/// Writes beside the file and puts it in place at once, so that no crash leaves half a number.
fn keep(directory: &Path, file: &Path, generation: u64) -> io::Result<()> {
    let beside = file.with_extension("new");
    let mut new = File::create(&beside)?;
    write!(new, "{generation}")?;
    new.sync_all()?;
    std::fs::rename(&beside, file)?;
    File::open(directory)?.sync_all()
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<()> {
    std::fs::create_dir_all(path)
}

fn sign(lock: &mut File, node: &NodeId) -> io::Result<()> {
    lock.set_len(0)?;
    lock.rewind()?;
    write!(lock, "pid {}, node {node}", std::process::id())
}

/// What the holder wrote. It may be caught before it did.
fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    match lock.take(256).read_to_string(&mut text) {
        Ok(_) if !text.is_empty() => text.chars().filter(|c| !c.is_control()).collect(),
        _ => "it has not said which yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("watertight-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_second_holder_is_refused_and_told_who_holds_it() {
        let path = scratch("data-held");
        let node: NodeId = "edge-1".parse().unwrap();
        let first = DataDir::open(&path, &node).unwrap();
        let refused = DataDir::open(&path, &node).unwrap_err().to_string();
        let said = format!("pid {}, node edge-1", std::process::id());
        assert!(refused.contains(&said), "{refused}");
        drop(first);
        assert_eq!(DataDir::open(&path, &node).unwrap().path(), path);
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_new_directory_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let path = scratch("data-mode").join("deep");
        let held = DataDir::open(&path, &"a".parse().unwrap()).unwrap();
        let mode = held.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn each_start_has_a_higher_number_whatever_the_clock_says() {
        let path = scratch("data-generation");
        let held = DataDir::open(&path, &"a".parse().unwrap()).unwrap();
        let at = |ms| UNIX_EPOCH + std::time::Duration::from_millis(ms);
        let start = |ms| generation(Some(&held), at(ms)).unwrap();
        assert_eq!(
            [start(1_000), start(1_000), start(10)],
            [1_000, 1_001, 1_002]
        );
        assert_eq!(start(5_000), 5_000);
        std::fs::remove_file(path.join(GENERATION)).unwrap();
        assert_eq!(start(6_000), 6_000);
        std::fs::write(path.join(GENERATION), "six").unwrap();
        let refused = generation(Some(&held), at(7_000)).unwrap_err().to_string();
        assert!(refused.contains("higher than any before"), "{refused}");
        assert_eq!(generation(None, at(9)).unwrap(), 9);
        std::fs::remove_dir_all(&path).unwrap();
    }

    #[test]
    fn a_file_is_not_a_directory() {
        let path = scratch("data-file");
        std::fs::write(&path, "").unwrap();
        assert!(matches!(
            DataDir::open(&path, &"a".parse().unwrap()),
            Err(DataError::Io { .. })
        ));
        std::fs::remove_file(&path).unwrap();
    }
}
