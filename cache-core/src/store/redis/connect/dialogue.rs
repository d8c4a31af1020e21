//! A connection for a few questions, one after the other: to a sentinel, or to a node of a cluster
//! that is asked for the others.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::dial::Transport;
use super::fault::Fault;
use crate::store::redis::resp::{Command, Frame, Reader, Reply};

pub(super) struct Dialogue {
    stream: Box<dyn Transport>,
    reader: Reader,
}

impl Dialogue {
    pub(super) fn new(stream: Box<dyn Transport>) -> Self {
        Self { stream, reader: Reader::default() }
    }

    /// Sends one command, and waits for its reply.
    pub(super) async fn ask(&mut self, command: &Command) -> Result<Reply, Fault> {
        self.send(command).await?;
        loop {
            match self.frame().await? {
                Frame::Reply(Reply::Error(error)) => return Err(Fault::of_reply(&error).to(command.name())),
                Frame::Reply(reply) => return Ok(reply),
                Frame::Push(_) => {}
            }
        }
    }

    pub(super) async fn send(&mut self, command: &Command) -> Result<(), Fault> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        self.stream.write_all(&bytes).await.map_err(|error| Fault::of_stream(&error))
    }

    /// Dropped before it is ready, it has lost nothing.
    pub(super) async fn frame(&mut self) -> Result<Frame, Fault> {
        loop {
            if let Some(frame) = self.reader.next().map_err(|_| Fault::not_a_reply())? {
                return Ok(frame);
            }
            match self.stream.read_buf(self.reader.room()).await {
                Ok(bytes) if bytes > 0 => {}
                Ok(_) => return Err(Fault::connection_lost()),
                Err(error) => return Err(Fault::of_stream(&error)),
            }
        }
    }
}
