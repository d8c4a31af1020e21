//! A database that keeps versions: rows with locks, one order for all processes.
//!
//! It lives in the conductor, and workers ask it over their socket. A file or memory that workers
//! share would be faster, but a row must get one version after the other whoever writes it, and
//! nothing here is `unsafe`. What a worker has committed stays when the worker is killed, and what
//! it has locked is free then.

use std::collections::{BTreeMap, VecDeque};

use crate::names::DATA;

/// Whoever asks: a process and the number of its question.
pub(crate) type Asker = (u16, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    /// The version of a row.
    Read(u16),
    /// The next version of a row, once nobody has it locked.
    Write(u16),
    /// The same, and the row stays locked.
    WriteAndLock(u16),
    Unlock(u16),
}

impl Query {
    pub(crate) fn encode(self) -> [u8; 3] {
        let (code, row) = match self {
            Self::Read(row) => (0, row),
            Self::Write(row) => (1, row),
            Self::WriteAndLock(row) => (2, row),
            Self::Unlock(row) => (3, row),
        };
        let [low, high] = row.to_le_bytes();
        [code, low, high]
    }

    pub(crate) fn decode([code, low, high]: [u8; 3]) -> Option<Self> {
        let row = Some(u16::from_le_bytes([low, high])).filter(|row| *row < DATA)?;
        Some(match code {
            0 => Self::Read(row),
            1 => Self::Write(row),
            2 => Self::WriteAndLock(row),
            3 => Self::Unlock(row),
            _ => return None,
        })
    }
}

#[derive(Debug, Default)]
struct Row {
    version: u64,
    locked_by: Option<u16>,
    waiting: VecDeque<(Asker, bool)>,
}

#[derive(Debug, Default)]
pub(crate) struct Database(BTreeMap<u16, Row>);

impl Database {
    /// Who is answered now, with which version.
    pub(crate) fn ask(&mut self, asker: Asker, query: Query) -> Vec<(Asker, u64)> {
        match query {
            Query::Read(row) => vec![(asker, self.row(row).version)],
            Query::Write(row) | Query::WriteAndLock(row) => {
                let locks = matches!(query, Query::WriteAndLock(_));
                self.row(row).waiting.push_back((asker, locks));
                self.row(row).go_on()
            }
            Query::Unlock(at) => {
                let row = self.row(at);
                if row.locked_by == Some(asker.0) {
                    row.locked_by = None;
                }
                let mut answers = vec![(asker, row.version)];
                answers.extend(row.go_on());
                answers
            }
        }
    }

    /// A process has ended: it waits for nothing, and locks nothing.
    pub(crate) fn forget(&mut self, process: u16) -> Vec<(Asker, u64)> {
        let mut answers = Vec::new();
        for row in self.0.values_mut() {
            row.waiting.retain(|((of, _), _)| *of != process);
            if row.locked_by == Some(process) {
                row.locked_by = None;
            }
            answers.extend(row.go_on());
        }
        answers
    }

    fn row(&mut self, at: u16) -> &mut Row {
        self.0.entry(at).or_default()
    }
}

impl Row {
    fn go_on(&mut self) -> Vec<(Asker, u64)> {
        let mut answers = Vec::new();
        while self.locked_by.is_none()
            && let Some((asker, locks)) = self.waiting.pop_front()
        {
            self.version += 1;
            self.locked_by = locks.then_some(asker.0);
            answers.push((asker, self.version));
        }
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_row_is_written_by_one_after_the_other() {
        let mut database = Database::default();
        assert_eq!(database.ask((1, 1), Query::WriteAndLock(5)), [((1, 1), 1)]);
        assert_eq!(database.ask((2, 1), Query::Write(5)), []);
        assert_eq!(database.ask((2, 2), Query::Read(5)), [((2, 2), 1)]);
        assert_eq!(database.ask((1, 2), Query::Unlock(5)), [((1, 2), 1), ((2, 1), 2)]);
    }

    #[test]
    fn the_locks_of_a_killed_process_are_free() {
        let mut database = Database::default();
        database.ask((1, 1), Query::WriteAndLock(5));
        database.ask((1, 2), Query::Write(5));
        database.ask((2, 1), Query::Write(5));
        assert_eq!(database.forget(1), [((2, 1), 2)]);
    }

    #[test]
    fn a_query_comes_back_from_its_bytes() {
        for query in [Query::Read(0), Query::Write(1), Query::WriteAndLock(2), Query::Unlock(DATA - 1)] {
            assert_eq!(Query::decode(query.encode()), Some(query));
        }
        assert_eq!(Query::decode([0, 0xff, 0xff]), None);
    }
}
