//! RESP3, the protocol that Redis and Valkey speak: commands as bytes, and bytes as replies. Knows
//! nothing of sockets, callers, or what a command does.
//!
//! The protocol: <https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md>.

use bytes::Bytes;

mod command;
mod reader;
#[cfg(test)]
mod tests;

pub(in crate::store::redis) use command::Command;
pub(in crate::store::redis) use reader::{Frame, Malformed, Reader};

/// A reply. Texts are views into the bytes that were received, which live as long as the last of
/// them.
#[derive(Clone, PartialEq)]
pub(in crate::store::redis) enum Reply {
    Null,
    Integer(i64),
    Bulk(Bytes),
    Simple(Bytes),
    /// An error reply: a code, and a text that may repeat keys and values.
    Error(Bytes),
    /// An array or a set.
    Array(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
    /// A type that no command of ours answers with: a float, a boolean, a big number.
    Other,
}

impl Reply {
    /// The text of a string reply.
    pub(in crate::store::redis) fn text(&self) -> Option<&str> {
        match self {
            Self::Bulk(bytes) | Self::Simple(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }
}

/// Tells the kind only: a reply may hold keys and values, which must not get into logs.
impl std::fmt::Debug for Reply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Integer(number) => write!(f, "Integer({number})"),
            Self::Bulk(bytes) => write!(f, "Bulk({} bytes)", bytes.len()),
            Self::Simple(_) => f.write_str("Simple"),
            Self::Error(_) => f.write_str("Error"),
            Self::Array(items) => f.debug_tuple("Array").field(items).finish(),
            Self::Map(items) => f.debug_tuple("Map").field(items).finish(),
            Self::Other => f.write_str("Other"),
        }
    }
}
