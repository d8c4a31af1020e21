//! Copies of entries in this process.

#[cfg(test)]
mod model;
