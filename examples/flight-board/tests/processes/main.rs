//! The board as processes that share a file and a server, and die, and are watched.

mod dashboards;
mod outbox;
mod process;
mod prometheus;
mod serve;
