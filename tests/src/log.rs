//! What was logged.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing::{Dispatch, subscriber};
use tracing_subscriber::fmt::{MakeWriter, fmt};

/// The events of this thread, of every level, as lines of text.
#[derive(Clone, Debug, Default)]
pub struct Log {
    bytes: Arc<Mutex<Vec<u8>>>,
}

/// Events are written down as long as it lives.
pub struct LogGuard {
    _guard: DefaultGuard,
    _second: Dispatch,
}

impl Log {
    /// Writes down what this thread logs from now on.
    pub fn listen() -> (Self, LogGuard) {
        let log = Self::default();
        let all = fmt().with_max_level(LevelFilter::TRACE).with_ansi(false).with_writer(log.clone()).finish();
        // A lone subscriber can be overlooked: the first thread to meet an event decides
        // for all threads whether anybody listens, and another test's thread has no
        // subscriber. A second one prevents that.
        let _second = Dispatch::new(fmt().with_writer(io::sink).finish());
        (log, LogGuard { _guard: subscriber::set_default(all), _second })
    }

    /// All of it.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
