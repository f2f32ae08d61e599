//! The directory that is a node's alone.
//!
//! Two nodes that write into one directory would each undo what the other did. So the directory is
//! locked before anything else happens, and a second node refuses to start and names the first.
//! The operating system gives the lock back when the process ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use watertight_base::NodeId;

/// The file in the directory that is locked, and that says by whom.
const LOCK: &str = "node.lock";

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
