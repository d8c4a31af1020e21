//! The board as processes that share a file and a server, and die.

mod outbox;
mod process;
mod serve;
