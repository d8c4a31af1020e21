//! A flight board: real flights in SQLite, served over HTTP, cached and exactly invalidated by `cache-core`.
//!
//! Read [`flights`] first: it is the whole of what an application writes to be cached. Then [`api`], an ordinary axum
//! application that knows next to nothing of the cache, and [`tour`], which drives it and checks every claim it prints.

pub mod api;
mod data;
pub mod db;
pub mod error;
pub mod flights;
mod input;
pub mod model;
mod queries;
pub mod setup;
pub mod tour;
