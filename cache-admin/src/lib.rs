//! A page for those who operate a cache: what it does, why, and what to do about it.
//!
//! [`Admin`] makes a router for axum 0.8, to be nested behind your own login. The page stands in
//! this crate, so it needs no network and no build step.
//!
//! # Example
//! ```
//! use axum::Router;
//! use cache_admin::Admin;
//! use cache_core::Cache;
//!
//! let cache = Cache::in_memory();
//! let admin = Admin::new("flights", &cache);
//! let app: Router = Router::new().nest("/cache", admin.router());
//! ```
#![doc = "\n# Safety in production\n"]
//! Whoever reaches the page sees keys and tags, and never a value. It changes nothing, unless
//! [`Admin::allow_actions`] says so. It asks nobody who they are: nest it behind a login, or listen
//! on a private address.
//!
//! The page runs no code but its own (`Content-Security-Policy`), cannot be framed, and puts
//! whatever comes from a cache on the screen as text. A hidden page asks for nothing, and what it
//! costs stands in its footer.
#![doc = "\n# Interface\n"]
#![doc = include_str!("../docs/api.md")]

// The README's example compiles, or the tests fail.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}

mod actions;
mod admin;
mod answer;
mod cost;
mod desk;
mod events;
mod health;
mod limits;
mod looking;
mod page;
mod stats;

pub use admin::Admin;
