//! A wire between a node and its store that can be cut: what is sent then disappears without a word.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// A wire to a server, on a port of its own. Its connections last as long as their ends do.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    is_cut: AtomicBool,
    is_gone: AtomicBool,
}

impl Wire {
    /// A wire to `server`.
    ///
    /// # Panics
    /// When no port is free.
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State::default());
        let shared = state.clone();
        std::thread::spawn(move || accept(&listener, server, &shared));
        Self { address, state }
    }

    /// Where its near end is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts it, or mends it. Connections that lost bytes stay silent.
    pub fn cut(&self, is_cut: bool) {
        self.state.is_cut.store(is_cut, Ordering::SeqCst);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.state.is_gone.store(true, Ordering::SeqCst);
        // Whoever waits for a connection sees that.
        let _ = TcpStream::connect(self.address);
    }
}

fn accept(listener: &TcpListener, server: SocketAddr, state: &Arc<State>) {
    while let Ok((near, _)) = listener.accept() {
        if state.is_gone.load(Ordering::SeqCst) {
            return;
        }
        let Ok(far) = TcpStream::connect(server) else {
            continue;
        };
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (from, to) = (from.try_clone(), to.try_clone());
            let (from, to) = (from.expect("a socket"), to.expect("a socket"));
            let state = state.clone();
            std::thread::spawn(move || copy(from, to, &state));
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, state: &State) {
    let mut buffer = [0; 16_384];
    let mut is_broken = false;
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        is_broken |= state.is_cut.load(Ordering::SeqCst);
        if !is_broken && to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    // The other end may be gone already.
    let _ = to.shutdown(Shutdown::Write);
}
