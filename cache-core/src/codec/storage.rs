//! What a cache says of the payloads of functions that say nothing themselves.

use std::fmt;
use std::sync::Arc;

use super::{Compression, Format, Seal};

/// How a cache writes payloads, and what it can read.
#[derive(Clone)]
pub(crate) struct Storage {
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    pub(crate) seal: Option<Arc<dyn Seal>>,
    /// Codecs that are read as well, beside that of a function and of the cache.
    pub(crate) read: Vec<Format>,
}

impl Default for Storage {
    fn default() -> Self {
        Self { format: Format::Json, compression: Compression::None, seal: None, read: Vec::new() }
    }
}

impl Storage {
    /// The codec of this id. `function`: that of the function whose entry it is.
    pub(crate) fn format_of(&self, id: u8, function: Option<Format>) -> Option<Format> {
        Format::of_id(id, function.into_iter().chain([self.format]).chain(self.read.iter().copied()))
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, compression, seal, read } = self;
        let mut all = f.debug_struct("Storage");
        all.field("format", format).field("compression", compression).field("sealed", &seal.is_some());
        all.field("read", read).finish()
    }
}
