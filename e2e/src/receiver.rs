//! What takes notifications: an HTTP receiver that can be away, silent, broken, or talk nonsense.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use serde_json::Value;

use crate::wait;

/// How it answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Manner {
    /// 200, and takes the notification.
    Takes,
    /// 500.
    Fails,
    /// Bytes that are no HTTP.
    Babbles,
    /// Nothing, for as long as it is asked.
    IsSilent,
}

/// A running receiver.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    manner: Mutex<Manner>,
    taken: Mutex<Vec<Value>>,
    heads: Mutex<Vec<String>>,
    /// Connections that are kept open without an answer.
    held: Mutex<Vec<TcpStream>>,
    is_over: AtomicBool,
}

impl Receiver {
    /// Starts one on a free port.
    ///
    /// # Panics
    /// When there is none.
    pub fn start(manner: Manner) -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0)), manner)
    }

    /// Starts one on `address`.
    ///
    /// # Panics
    /// When it cannot be bound.
    pub fn start_on(address: SocketAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).expect("the receiver's address");
        let address = listener.local_addr().expect("the receiver's address");
        let shared = Arc::new(Shared {
            manner: Mutex::new(manner),
            taken: Mutex::default(),
            heads: Mutex::default(),
            held: Mutex::default(),
            is_over: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if serving.is_over.load(Ordering::Acquire) {
                    return;
                }
                // A sender that gives up is no fault of the receiver.
                let _ = serving.answer(stream);
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Where it is, with a path.
    pub fn url(&self) -> String {
        format!("http://{}/hook?key=secret", self.address)
    }

    /// From now on it answers so.
    pub fn becomes(&self, manner: Manner) {
        *self.shared.manner.lock().expect("no panic") = manner;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.shared.heads.lock().expect("no panic").len()
    }

    /// The heads of what it was asked.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().expect("no panic").clone()
    }

    /// The notifications that it took.
    pub fn taken(&self) -> Vec<Value> {
        self.shared.taken.lock().expect("no panic").clone()
    }

    /// Waits for a notification that `is_it`, and returns it.
    ///
    /// # Panics
    /// When none comes.
    pub fn takes(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        wait::until(what, wait::SOON, || {
            self.taken().into_iter().find(|message| is_it(message))
        })
    }
}

impl Shared {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let (head, body) = read(&mut stream)?;
        self.heads.lock().expect("no panic").push(head);
        let manner = *self.manner.lock().expect("no panic");
        match manner {
            Manner::Takes => {
                let message = serde_json::from_slice(&body).unwrap_or_default();
                self.taken.lock().expect("no panic").push(message);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            }
            Manner::Fails => stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"),
            Manner::Babbles => stream.write_all(&[0xff; 512]),
            Manner::IsSilent => {
                self.held.lock().expect("no panic").push(stream);
                Ok(())
            }
        }
    }
}

fn read(stream: &mut TcpStream) -> std::io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                let is_length = name.eq_ignore_ascii_case("content-length");
                value.parse::<usize>().ok().filter(|_| is_length)
            });
            if bytes.len() >= end + 4 + length.unwrap_or(0) {
                return Ok((head, bytes.split_off(end + 4)));
            }
        }
        match stream.read(&mut piece)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            more => bytes.extend_from_slice(&piece[..more]),
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Wakes it; it may have ended already.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
