//! Every limit, with its reason.

use std::time::Duration;

/// Rows of the outbox that a relay takes at once: one invalidation and one `DELETE` for all of
/// them. On PostgreSQL they are locked meanwhile, so this bounds how much one relay keeps from
/// others.
pub const RELAY_ROWS_MAX: u32 = 100;

/// How long a relay waits before it looks again, if nothing wakes it: so long at most an old value
/// lives on after a crash, and after a notification that was lost.
pub const RELAY_INTERVAL: Duration = Duration::from_secs(5);

/// The first wait after a failure of the relay. Each further failure doubles it, up to
/// [`RELAY_INTERVAL`].
pub const BACKOFF_MIN: Duration = Duration::from_millis(100);

/// How long the relay of a stopped process keeps rows from the others on PostgreSQL: the server
/// ends such a session.
pub const CLAIM_MAX: Duration = Duration::from_secs(10);

/// For so long relays leave the rows of a transaction alone, on PostgreSQL: its process does them
/// right after the `COMMIT`, and only if it died somebody else has to.
pub const GRACE: Duration = Duration::from_secs(5);

/// Names in one row that a trigger writes: 120 bytes each make 60 KB. A statement that changes more
/// writes more rows.
pub const INTENT_NAMES_MAX: u32 = 500;

/// Bytes of a name that a trigger writes. For a longer one it writes that everything is to be
/// invalidated: a name of that length cannot be read back, and losing it would leave an old value.
pub const NAME_BYTES_MAX: u32 = 1_024;

/// Bytes of a declaration.
pub const DECLARATION_BYTES_MAX: usize = 65_536;

/// Names (keys and tags) that a table may declare: each is one join in its triggers.
pub const TABLE_NAMES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_in_the_readme_has_every_limit() {
        let duration =
            |duration: Duration| format!("{duration:?}").replace("ms", " ms").replace("0s", "0 s").replace("5s", "5 s");
        let limits = [
            ("RELAY_ROWS_MAX", RELAY_ROWS_MAX.to_string()),
            ("RELAY_INTERVAL", duration(RELAY_INTERVAL)),
            ("BACKOFF_MIN", duration(BACKOFF_MIN)),
            ("CLAIM_MAX", duration(CLAIM_MAX)),
            ("GRACE", duration(GRACE)),
            ("INTENT_NAMES_MAX", INTENT_NAMES_MAX.to_string()),
            ("NAME_BYTES_MAX", NAME_BYTES_MAX.to_string()),
            ("DECLARATION_BYTES_MAX", DECLARATION_BYTES_MAX.to_string()),
            ("TABLE_NAMES_MAX", TABLE_NAMES_MAX.to_string()),
        ];
        for (name, value) in &limits {
            let row = format!("\n| `{name}` | {value} |");
            assert!(include_str!("../README.md").contains(&row), "the README has no {row:?}");
        }
        // None is left out: each has its constant.
        assert_eq!(include_str!("limits.rs").matches("\npub const ").count(), limits.len());
    }
}
