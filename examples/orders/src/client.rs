//! Asks over HTTP, and keeps what the answer cost.

use std::io::{Error, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::sqlite::shop::READS;

/// A client of one process.
pub(crate) struct Client {
    address: String,
    reads: AtomicU64,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// JSON; `null` if it was not.
    pub(crate) body: Value,
    /// How often the process asked the database since the answer before.
    pub(crate) reads: u64,
}

impl Client {
    pub(crate) fn new(address: impl ToString) -> Self {
        Self { address: address.to_string(), reads: AtomicU64::new(0) }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Error> {
        self.ask(&format!("GET {path} HTTP/1.0\r\n\r\n")).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answer, Error> {
        let body = body.to_string();
        let head = format!("content-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        self.ask(&format!("POST {path} HTTP/1.0\r\n{head}{body}")).await
    }

    async fn ask(&self, request: &str) -> Result<Answer, Error> {
        let mut stream = TcpStream::connect(&self.address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let broken = || Error::new(ErrorKind::InvalidData, "not an answer of the shop");
        let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(broken)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(broken)?;
        let header = |line: &str| line.strip_prefix(READS)?.strip_prefix(": ")?.parse::<u64>().ok();
        let reads = head.lines().find_map(header).ok_or_else(broken)?;
        let reads = reads - self.reads.swap(reads, Ordering::Relaxed);
        Ok(Answer { status, body: serde_json::from_str(body).unwrap_or_default(), reads })
    }
}
