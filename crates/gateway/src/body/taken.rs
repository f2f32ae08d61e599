//! What a client takes of its answer, by the byte.
//!
//! A frame is handed to HTTP whole, however long it then takes to write. So its bytes are counted
//! where they leave: when they are written to the connection.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::{Buf, Bytes};

/// How many bytes of an answer were written so far. Cloning copies a pointer.
#[derive(Clone, Debug, Default)]
pub(super) struct Taken(Arc<AtomicU64>);

impl Taken {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes that count when they are written.
#[derive(Debug)]
pub(crate) struct Counted {
    bytes: Bytes,
    /// None: nobody asks.
    taken: Option<Taken>,
}

impl Counted {
    pub(super) fn by(bytes: Bytes, taken: &Taken) -> Self {
        Self {
            bytes,
            taken: Some(taken.clone()),
        }
    }

    fn count(&self, bytes: usize) {
        if let Some(taken) = &self.taken {
            taken.0.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }
}

impl From<Bytes> for Counted {
    fn from(bytes: Bytes) -> Self {
        Self { bytes, taken: None }
    }
}

impl Buf for Counted {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.count(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        let bytes = self.bytes.copy_to_bytes(length);
        self.count(length);
        bytes
    }
}
