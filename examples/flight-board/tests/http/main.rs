//! The board's HTTP interface on the embedded store.

mod board;
mod freshness;
mod requests;
mod warm;
