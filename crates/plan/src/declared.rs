//! What is said of a service for the audit: nothing of it acts in a node.

use std::collections::BTreeMap;

use watertight_base::PoolId;

/// What somebody says of a service that a node cannot see for itself.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Declared {
    /// What is this service's alone: pools by their names, other infrastructure by any name. None: nobody
    /// has said; empty: it was thought of, and there is nothing.
    pub dedicated: Option<Vec<String>>,
    /// As whom it calls the pools that it uses: the name of a role, a user or a key, never a secret.
    pub credentials: BTreeMap<PoolId, String>,
    /// Processor time that all of it together may use, in thousandths of a core. None: nobody has said.
    pub cpu_millicores: Option<u32>,
    /// Memory that all of it together may use, in bytes. None: nobody has said.
    pub memory_bytes: Option<u64>,
}
