//! What the store sends by itself, for tests that send it when they choose.

use std::time::Duration;

use super::layout::Layout;
use super::{layout_of, scripts};
use crate::clock::millis;

/// What every key of a store begins with.
pub(in crate::store) fn root_of(url: &str, namespace: &str) -> String {
    layout_of(url, namespace).unwrap().root().to_owned()
}

/// Sends what the hook of a new primary sends, on a connection of the test's own that has such a
/// mark.
pub(in crate::store) async fn meet_of(
    root: &str,
    (mark, seen): (&str, u64),
    raw: &mut ::redis::aio::MultiplexedConnection,
) -> String {
    let layout = Layout::at(root);
    let mut eval = ::redis::cmd("EVAL");
    eval.arg(scripts::MEET.source).arg(1).arg(layout.clock());
    eval.arg(layout.root()).arg(mark).arg(seen);
    eval.query_async(raw).await.unwrap()
}

/// Sends what the reaper sends.
pub(in crate::store) async fn reap_of(
    root: &str,
    pause: Duration,
    raw: &mut ::redis::aio::MultiplexedConnection,
) -> String {
    let layout = Layout::at(root);
    let mut eval = ::redis::cmd("EVAL");
    eval.arg(scripts::REAP.source).arg(1).arg(layout.clock());
    eval.arg(layout.root()).arg("!seq").arg(60_000).arg(millis(pause)).arg(crate::config::REAP_LOOKS_MAX);
    eval.query_async(raw).await.unwrap()
}

/// Sends one look of a preview in such a way that the server refuses each write.
pub(in crate::store) async fn preview_read_only(
    root: &str,
    words: &[&str],
    raw: &mut ::redis::aio::MultiplexedConnection,
) {
    let layout = Layout::at(root);
    let mut eval = ::redis::cmd("EVAL_RO");
    eval.arg(scripts::PREVIEW.source).arg(1).arg(layout.clock()).arg(layout.root()).arg("!seq").arg(words);
    eval.query_async::<::redis::Value>(raw).await.unwrap();
}

/// The same of an explanation.
pub(in crate::store) async fn explain_read_only(root: &str, key: &str, raw: &mut ::redis::aio::MultiplexedConnection) {
    let layout = Layout::at(root);
    let mut eval = ::redis::cmd("EVAL_RO");
    eval.arg(scripts::EXPLAIN.source).arg(4).arg(layout.clock()).arg(layout.value(key)).arg(layout.lease(key));
    eval.arg(layout.learned(key)).arg(layout.root()).arg("!seq").arg(key).arg(9).arg(9).arg(9).arg(9);
    eval.query_async::<::redis::Value>(raw).await.unwrap();
}
