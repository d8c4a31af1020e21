//! The built program, run against real servers.

mod admin;
mod doctor;
mod endings;
mod invalidating;
mod looking;
mod program;
