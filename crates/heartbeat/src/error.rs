//! What can be wrong before anyone is watched.

/// A detector, a cluster or a monitor that cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A number of a rule lies outside its range.
    #[error("`{number}` of a failure detector is {range}")]
    Rule {
        /// Which.
        number: &'static str,
        /// Its range.
        range: &'static str,
    },
}
