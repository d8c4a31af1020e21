//! A server that speaks just enough RESP, and misbehaves as told.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Notify, watch};

use crate::store::redis::connect::fault::Fault;
use crate::store::redis::connect::route::{Dial, Route};

#[derive(Clone)]
pub(in crate::store::redis) enum Answer {
    /// These bytes.
    Reply(Vec<u8>),
    /// The first argument, as a bulk string.
    Echo,
    /// The first argument, once the notification comes; later commands wait behind it.
    EchoAfter(Arc<Notify>),
    /// These bytes, once the notification comes.
    ReplyAfter(Arc<Notify>, Vec<u8>),
    /// These bytes, then the end of the connection.
    Cut(Vec<u8>),
    /// Nothing, now and later: a half-open connection.
    Stall,
}

impl Answer {
    pub(in crate::store::redis) fn text(text: &str) -> Self {
        Self::Reply(bulk(text))
    }

    pub(in crate::store::redis) fn raw(text: &str) -> Self {
        Self::Reply(text.as_bytes().to_vec())
    }
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Door {
    Open,
    Refuse,
    /// Open, but only for so many connections.
    Full(usize),
    /// Packets are lost: neither accepted nor refused.
    Lost,
    /// Open, but the first connection attempt blocks its thread until the door is set to something
    /// else.
    BlocksTheFirst,
}

pub(in crate::store::redis) struct Fake {
    door: Mutex<Door>,
    /// Answers by the beginning of a command. The last one that matches counts.
    answers: Mutex<Vec<(String, Answer)>>,
    pub(super) dials: AtomicUsize,
    /// Connections up to this number answer nothing.
    silent: AtomicUsize,
    closed: watch::Sender<usize>,
    /// Every command, with the number of its connection.
    seen: Mutex<Vec<(usize, Vec<String>)>>,
}

impl Fake {
    pub(super) fn new() -> Arc<Self> {
        let fake = Self {
            door: Mutex::new(Door::Open),
            answers: Mutex::new(Vec::new()),
            dials: AtomicUsize::new(0),
            silent: AtomicUsize::new(0),
            closed: watch::Sender::new(0),
            seen: Mutex::new(Vec::new()),
        };
        fake.set_role("master");
        fake.on("INFO memory", Answer::text("maxmemory_policy:volatile-lru\r\n"));
        fake.on("GET", Answer::Echo);
        fake.become_primary("a");
        Arc::new(fake)
    }

    pub(in crate::store::redis) fn on(&self, command: &str, answer: Answer) {
        self.answers.lock().unwrap().push((command.to_owned(), answer));
    }

    pub(in crate::store::redis) fn become_primary(&self, run_id: &str) {
        self.on("INFO server", Answer::text(&format!("# Server\r\nrun_id:{run_id}\r\n")));
    }

    /// Sets the role that the server tells from now on.
    pub(super) fn set_role(&self, role: &str) {
        self.on("HELLO", Answer::raw(&format!("%2\r\n+server\r\n+redis\r\n+role\r\n${}\r\n{role}\r\n", role.len())));
    }

    /// How often the server was asked for its role, on connections that had logged in.
    pub(super) fn asked(&self) -> usize {
        self.seen("HELLO").iter().filter(|(_, command)| command == "HELLO 3").count()
    }

    /// From now on the present connections answer nothing. Later connections do answer.
    pub(super) fn go_silent(&self) {
        self.silent.store(self.dials(), Ordering::SeqCst);
    }

    pub(super) fn set_door(&self, door: Door) {
        *self.door.lock().unwrap() = door;
    }

    pub(super) fn dials(&self) -> usize {
        self.dials.load(Ordering::SeqCst)
    }

    /// The commands that begin so, each with the number of its connection.
    pub(in crate::store::redis) fn seen(&self, command: &str) -> Vec<(usize, String)> {
        let seen = self.seen.lock().unwrap();
        let joined = seen.iter().map(|(connection, words)| (*connection, words.join(" ")));
        joined.filter(|(_, text)| text.starts_with(command)).collect()
    }

    /// Waits until so many connections have ended.
    pub(super) async fn closed(&self, connections: usize) {
        let mut closed = self.closed.subscribe();
        let enough = closed.wait_for(|closed| *closed >= connections);
        let hour = std::time::Duration::from_secs(3_600);
        drop(tokio::time::timeout(hour, enough).await.expect("connections should have been closed").unwrap());
    }

    pub(super) fn dial(self: &Arc<Self>) -> Dial {
        let fake = self.clone();
        Box::new(move || {
            let fake = fake.clone();
            Box::pin(async move {
                let connection = fake.dials.fetch_add(1, Ordering::SeqCst) + 1;
                let door = *fake.door.lock().unwrap();
                match door {
                    Door::Open => {}
                    Door::Refuse => return Err(refused()),
                    Door::Full(most) if connection <= most => {}
                    Door::Full(_) => return Err(refused()),
                    Door::Lost => std::future::pending().await,
                    Door::BlocksTheFirst => {
                        while connection == 1 && *fake.door.lock().unwrap() == door {
                            std::thread::yield_now();
                        }
                    }
                }
                let (ours, theirs) = tokio::io::duplex(64 << 10);
                tokio::spawn(async move {
                    fake.serve(connection, ours).await;
                    fake.closed.send_modify(|closed| *closed += 1);
                });
                Ok(Route::fixed(Box::new(theirs)))
            })
        })
    }

    async fn serve(&self, connection: usize, mut stream: DuplexStream) {
        let mut received = Vec::new();
        while let Some(words) = next_command(&mut stream, &mut received).await {
            let answer = match connection <= self.silent.load(Ordering::SeqCst) {
                true => Answer::Stall,
                false => self.answer(&words),
            };
            self.seen.lock().unwrap().push((connection, words.clone()));
            let echo = || bulk(words.get(1).map_or("", String::as_str));
            let reply = match answer {
                Answer::Reply(bytes) => bytes,
                Answer::Echo => echo(),
                Answer::EchoAfter(allowed) => {
                    allowed.notified().await;
                    echo()
                }
                Answer::ReplyAfter(allowed, bytes) => {
                    allowed.notified().await;
                    bytes
                }
                Answer::Cut(bytes) => {
                    let _ = stream.write_all(&bytes).await;
                    return;
                }
                Answer::Stall => {
                    while stream.read(&mut [0; 1024]).await.is_ok_and(|bytes| bytes > 0) {}
                    return;
                }
            };
            if stream.write_all(&reply).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, words: &[String]) -> Answer {
        let text = words.join(" ");
        let answers = self.answers.lock().unwrap();
        let answer = answers.iter().rev().find(|(command, _)| text.starts_with(command.as_str()));
        answer.map_or_else(|| Answer::raw("+OK\r\n"), |(_, answer)| answer.clone())
    }
}

fn refused() -> Fault {
    Fault::of_dial(&"fake.test:6379", &io::Error::from_raw_os_error(111))
}

fn bulk(text: &str) -> Vec<u8> {
    format!("${}\r\n{text}\r\n", text.len()).into_bytes()
}

/// An array of bulk strings; `None` at the end of the stream.
async fn next_command(stream: &mut DuplexStream, received: &mut Vec<u8>) -> Option<Vec<String>> {
    loop {
        if let Some((words, length)) = parse(received) {
            received.drain(..length);
            return Some(words);
        }
        if stream.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
}

fn parse(bytes: &[u8]) -> Option<(Vec<String>, usize)> {
    let mut at = 0;
    let line = |at: &mut usize| {
        let end = *at + bytes.get(*at..)?.windows(2).position(|pair| pair == b"\r\n")?;
        let number: usize = std::str::from_utf8(&bytes[*at + 1..end]).unwrap().parse().unwrap();
        *at = end + 2;
        Some(number)
    };
    let mut words = Vec::new();
    for _ in 0..line(&mut at)? {
        let length = line(&mut at)?;
        words.push(String::from_utf8_lossy(bytes.get(at..at + length)?).into_owned());
        at += length + 2;
    }
    (at <= bytes.len()).then_some((words, at))
}
