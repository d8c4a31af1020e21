//! The commands, a module each.

pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod invalidate;
pub(crate) mod list;
pub(crate) mod preview;
