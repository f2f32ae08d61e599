//! What can be wrong before anyone is watched.

/// A detector, a cluster or a monitor that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number of a lease lies outside its range.
    #[error("`{number}` of a lease is {range}")]
    Lease {
        /// Which.
        number: &'static str,
        /// Its range.
        range: &'static str,
    },
    /// A number of a cluster lies outside its range.
    #[error("`{number}` of a cluster is {range}")]
    Membership {
        /// Which.
        number: &'static str,
        /// Its range.
        range: &'static str,
    },
    /// A number of a monitor lies outside its range.
    #[error("`{number}` of a monitor is {range}")]
    Monitor {
        /// Which.
        number: &'static str,
        /// Its range.
        range: &'static str,
    },
    /// A number of a plan lies outside its range.
    #[error("`{number}` is {range}")]
    Watch {
        /// Which.
        number: &'static str,
        /// Its range.
        range: &'static str,
    },
    /// What a node says of itself is too long to travel with each news of it.
    #[error("metadata is at most 512 bytes when encoded, not {length}: name fewer shards")]
    Metadata {
        /// Its length, encoded, in bytes.
        length: usize,
    },
    /// A number of a rule lies outside its range.
    #[error("`{number}` of a failure detector is {range}")]
    Rule {
        /// Which.
        number: &'static str,
        /// Its range.
        range: &'static str,
    },
}
