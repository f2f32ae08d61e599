//! What can be wrong with records, and what to do about it.

/// An order that was not carried out, or of which nobody knows whether it was.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordsError {
    /// A table's name that is none.
    #[error("`{0}` is no table of records: 1 to 32 of a-z, 0-9 and `-`")]
    Table(String),
    /// A key that is none.
    #[error("`{0}` is no key of a record: 1 to 255 bytes, none of them NUL")]
    Key(String),
    /// A value that is too long.
    #[error(
        "a record has at most 64 KiB, not {0} bytes: keep what is large elsewhere, and here where it is"
    )]
    Value(usize),
    /// A batch that is too large.
    #[error(
        "a batch has at most 1,024 changes of 1 MiB, not {changes} of {bytes} bytes: send several"
    )]
    Batch {
        /// How many changes it has.
        changes: usize,
        /// How many bytes.
        bytes: usize,
    },
    /// Where records are to be kept cannot be opened.
    #[error("{place} cannot be opened for records: {why}")]
    Open {
        /// Which.
        place: String,
        /// What is wrong.
        why: String,
    },
    /// Another process has it open.
    #[error(
        "{place} is open in another process: stop that one, or give this node a directory of its own"
    )]
    InUse {
        /// Which file.
        place: String,
    },
    /// What is there was not written by us.
    #[error(
        "{place} is no file of records ({why}): it is left as it is; move it away, or name another directory"
    )]
    Foreign {
        /// Which file.
        place: String,
        /// How that shows.
        why: String,
    },
    /// A later release has written it.
    #[error(
        "{place} has version {found} of its tables, and this release knows up to {known}: start the release that wrote it, or a later one"
    )]
    Newer {
        /// Which file.
        place: String,
        /// Its version.
        found: i64,
        /// Ours.
        known: i64,
    },
    /// What was written is not what is read.
    #[error(
        "{place} is damaged ({why}): nothing was changed or removed; keep a copy, and restore the file from a backup"
    )]
    Damaged {
        /// Which.
        place: String,
        /// How that shows.
        why: String,
    },
    /// There is no room.
    #[error("{place} cannot grow, and nothing was changed: make room where it lies")]
    Full {
        /// Which.
        place: String,
    },
    /// Writing failed before, and what is on disk is not known: nothing more is written.
    #[error(
        "{place} has stopped after a failure ({why}): see to the disk, then start the node again"
    )]
    Stopped {
        /// Which.
        place: String,
        /// The failure.
        why: String,
    },
    /// As many orders wait as may.
    #[error(
        "{place} has {waiting} orders waiting, and nothing was changed: try again, or less often"
    )]
    Busy {
        /// Which.
        place: String,
        /// How many.
        waiting: usize,
    },
    /// It is not there, and nothing was changed.
    #[error("{place} is away, and nothing was changed: {why}")]
    Away {
        /// Which.
        place: String,
        /// How that shows, and what to do.
        why: String,
    },
    /// It does not want to, and nothing was changed.
    #[error("{place} refuses, and nothing was changed: {why}")]
    Refused {
        /// Which.
        place: String,
        /// What it says, and what to do.
        why: String,
    },
    /// What was ordered may be done or not.
    #[error(
        "{place} gave no answer ({why}), and may have done what was asked or not: read again to find out"
    )]
    Unanswered {
        /// Which.
        place: String,
        /// Why not.
        why: String,
    },
    /// A URL of another kind.
    #[error(
        "`{url}` is no URL of a PostgreSQL: expected `postgresql://user@host:port/database` ({why})"
    )]
    Url {
        /// The URL given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A password in the URL. It is not repeated here.
    #[error("the URL of PostgreSQL contains a password, and URLs end up in logs: use `password`")]
    PasswordInUrl,
    /// TLS is asked for.
    #[error("`sslmode=require` is not spoken yet: leave it away, on a network of your own")]
    Tls,
}
