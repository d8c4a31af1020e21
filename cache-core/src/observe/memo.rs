//! Counters that a function remembers, so that its calls need not look for them under a lock.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::stats::{CounterTable, Counters};
use crate::config::COUNTERS_REMEMBERED_MAX;

/// The counters of the first caches that a function is called with. Calls with further ones look in
/// the table.
pub(crate) struct CountersMemo([OnceLock<Remembered>; COUNTERS_REMEMBERED_MAX]);

struct Remembered {
    table: u64,
    counters: Arc<Counters>,
}

impl CountersMemo {
    pub(crate) const fn new() -> Self {
        Self([const { OnceLock::new() }; COUNTERS_REMEMBERED_MAX])
    }

    /// The counters of a function's prefix. The prefix is compared, for that of a method of a trait
    /// is another one for each type.
    pub(crate) fn of(&'static self, table: &CounterTable, prefix: &str) -> SharedCounters {
        let known = self.0.iter().map_while(OnceLock::get);
        if let Some(known) = known.filter(|known| known.table == table.id).find(|known| known.counters.are_of(prefix)) {
            return SharedCounters::Remembered(&known.counters);
        }
        let counters = table.prefix(prefix);
        counters.may_be_said();
        let mut remembered = Remembered { table: table.id, counters: counters.clone() };
        for slot in &self.0 {
            match slot.set(remembered) {
                Ok(()) => break,
                Err(back) => remembered = back,
            }
        }
        SharedCounters::Looked(counters)
    }
}

/// The counters of one prefix. Those that a function remembers are shared without counting who
/// shares them: threads would fight for that count.
#[derive(Clone)]
pub(crate) enum SharedCounters {
    Remembered(&'static Counters),
    Looked(Arc<Counters>),
}

impl Deref for SharedCounters {
    type Target = Counters;

    fn deref(&self) -> &Counters {
        match self {
            Self::Remembered(counters) => counters,
            Self::Looked(counters) => counters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_and_prefix_has_counters_of_its_own_also_when_no_more_are_remembered() {
        static MEMO: CountersMemo = CountersMemo::new();
        let tables: Vec<CounterTable> = std::iter::repeat_with(CounterTable::default).take(4).collect();
        for _ in 0..2 {
            for table in &tables {
                for prefix in ["a", "b"] {
                    assert!(std::ptr::eq(&*MEMO.of(table, prefix), &*table.prefix(prefix)));
                }
            }
        }
    }
}
