//! Whose machine it is: most tests share it, one that measures has it for itself.
//!
//! Tests run in parallel. A figure that others' load would spoil is taken by a test that holds
//! [`alone`]; everything else holds [`shared`], which every [`Node`](crate::node::Node) does by itself.

use std::sync::{Condvar, Mutex, PoisonError};

static STATE: Mutex<State> = Mutex::new(State {
    sharing: 0,
    is_taken: false,
    waiting: 0,
});
static CHANGED: Condvar = Condvar::new();

struct State {
    sharing: usize,
    is_taken: bool,
    waiting: usize,
}

/// A share of the machine, until it is dropped.
#[derive(Debug)]
pub struct Shared(());

/// The whole machine, until it is dropped.
#[derive(Debug)]
pub struct Alone(());

/// Takes a share. Blocks while somebody has the whole machine, or waits for it and nobody else
/// holds a share: who holds one can always take another.
pub fn shared() -> Shared {
    let state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    let blocked = |state: &mut State| state.is_taken || (state.waiting > 0 && state.sharing == 0);
    let mut state = CHANGED
        .wait_while(state, blocked)
        .unwrap_or_else(PoisonError::into_inner);
    state.sharing += 1;
    Shared(())
}

/// Takes the whole machine. Blocks while anybody holds a share.
pub fn alone() -> Alone {
    let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
    state.waiting += 1;
    let mut state = CHANGED
        .wait_while(state, |state| state.is_taken || state.sharing > 0)
        .unwrap_or_else(PoisonError::into_inner);
    state.waiting -= 1;
    state.is_taken = true;
    Alone(())
}

impl Drop for Shared {
    fn drop(&mut self) {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        state.sharing -= 1;
        CHANGED.notify_all();
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let mut state = STATE.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_taken = false;
        CHANGED.notify_all();
    }
}
