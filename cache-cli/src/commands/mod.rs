//! The commands, a module each.

pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod invalidate;
pub(crate) mod list;
pub(crate) mod preview;
pub(crate) mod serve;
pub(crate) mod top;
pub(crate) mod warm;
pub(crate) mod watch;
