//! A program whose wall clock is set from outside, by libfaketime and a file. Its monotonic clock,
//! by which calls are recorded, goes on as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file that says how far the clock of a program is ahead.
#[derive(Clone, Debug)]
pub(crate) struct ClockFile(PathBuf);

/// The library that gives a program another clock, if it is installed.
pub(crate) fn faketime() -> Option<PathBuf> {
    let given = std::env::var_os("CACHE_TEST_FAKETIME_LIB").map(PathBuf::from);
    given.filter(|library| library.is_file())
}

impl ClockFile {
    /// In this directory.
    pub(crate) fn of(directory: &Path) -> Self {
        Self(directory.join("clock"))
    }

    pub(crate) fn exists(&self) -> bool {
        self.0.exists()
    }

    /// The clock is ahead by so much.
    pub(crate) fn set(&self, seconds: i64) -> io::Result<()> {
        let next = self.0.with_extension("next");
        // At once: a clock that is read while it is written would be anything.
        fs::write(&next, format!("{seconds:+}"))?;
        fs::rename(next, &self.0)
    }

    /// What the program is to find in its environment.
    pub(crate) fn variables(&self) -> io::Result<[(&'static str, String); 4]> {
        let library = faketime().ok_or_else(|| io::Error::other("libfaketime is not installed"))?;
        Ok([
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.0.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ])
    }
}
