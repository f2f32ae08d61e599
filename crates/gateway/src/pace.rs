//! Bodies at the pace that limits on bytes allow.
//!
//! Bytes are passed on in slices, each when the limit allows it, and until then nothing more is read:
//! what is held back stays with whoever sends it. At most one frame is in hand.
//!
//! A pause that we impose is nobody's silence. While one lasts, idle timeouts do not run, and the
//! service's deadline moves by as much as its request was held up; a client that does not read what
//! it could have is closed as ever.
//!
//! A paced request keeps its seat and its connection to the service: a slow upload holds what a fast
//! one would, only longer. Giving the seat back in between would mean to buffer the body, without a
//! bound, or to have a service work without a seat. So limits on bytes are for services that carry
//! uploads and downloads, which belong in a compartment of their own with as many seats as transfers
//! may run at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use watertight_layers::{Clock, Pacer, Permit};

#[cfg(test)]
mod tests;

/// Holds the bytes of one request to their pace. Cloning copies pointers.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    pacer: Pacer,
    clock: Clock,
    slice_bytes: usize,
    held_up: HeldUp,
}

/// Whether an answer is being held up. Cloning copies a pointer.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldUp(Arc<AtomicUsize>);

/// While it lives, an answer is held up.
#[derive(Debug)]
struct Hold<'a>(&'a HeldUp);

impl Drop for Hold<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Release);
    }
}

impl HeldUp {
    pub(crate) fn is_now(&self) -> bool {
        self.0.load(Ordering::Acquire) > 0
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn hold(&self) -> Hold<'_> {
        self.0.fetch_add(1, Ordering::AcqRel);
        Hold(self)
    }
}

impl Pace {
    /// None: no limit counts the bytes.
    pub(crate) fn of(permit: &Permit, clock: Clock) -> Option<Self> {
        let pacer = permit.pacer()?.clone();
        Some(Self {
            slice_bytes: pacer.slice_bytes(),
            pacer,
            clock,
            held_up: HeldUp::default(),
        })
    }

    /// The most bytes to charge and pass on at once.
    pub(crate) fn slice_bytes(&self) -> usize {
        self.slice_bytes
    }

    /// Charges `bytes`; how long to wait before they are passed on.
    pub(crate) fn charge(&self, bytes: usize) -> Duration {
        self.pacer.pass(self.clock.now(), bytes as u64)
    }

    /// Charges `bytes` and waits until they may be passed on.
    pub(crate) async fn pass(&self, bytes: usize) {
        let wait = self.charge(bytes);
        if !wait.is_zero() {
            let _hold = self.held_up.hold();
            tokio::time::sleep(wait).await;
        }
    }

    /// Tells whether the answer is being held up.
    pub(crate) fn held_up(&self) -> HeldUp {
        self.held_up.clone()
    }
}
