//! A flight board: real flights in SQLite, served over HTTP, cached and
//! exactly invalidated by `cache-core`.
//!
//! Read [`flights`] first: it is the whole of what an application writes to be cached. Then
//! [`api`], an ordinary axum application that knows next to nothing of the cache, and [`tour`],
//! which drives it and checks every claim it prints. [`outbox`] makes changes that survive a crash,
//! [`warm`] loads what will be asked for.

pub mod api;
mod data;
pub mod db;
pub mod error;
pub mod flights;
mod input;
pub mod model;
pub mod outbox;
mod queries;
pub mod setup;
pub mod tour;
pub mod warm;
