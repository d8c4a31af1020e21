//! Processes that die around a commit, and what the relay makes of their notes.

use cache_core::{Cache, Invalidation, Key, key};
use cache_tests::{Fault, FaultProxy, Log, TestStore, each_server, ready, until};
use flight_board::flights;
use flight_board::outbox::{self, RelayReport};

use crate::process::{BOARD, FLIGHT, File, Process, Serving};

fn written(intent: Invalidation) -> String {
    intent.to_json().unwrap()
}

/// The cache that the processes of a file share.
async fn cache_of(file: &File, store: &TestStore) -> Cache {
    ready(store.builder().namespace(file.open().namespace())).await
}

/// What a process shows that starts on this file now.
async fn shown_after_a_restart(file: &File, store: &TestStore) -> String {
    let board = Serving::start(&file.path, store.url()).await;
    let flight = board.get(&format!("/flights/{FLIGHT}")).await.body;
    let departures = board.get(BOARD).await.body["departures"].clone();
    let line = departures.as_array().unwrap().iter().find(|line| line["flight"]["id"] == FLIGHT).unwrap();
    format!("shows {} {}", flight["delay_min"], line["flight"]["delay_min"])
}

each_server! {
    async fn nothing_stale_is_served_after_a_crash_between_commit_and_invalidation(store: TestStore) {
        let file = File::new();
        let mut crashing = Process::start("changes", &file.path, store.url());
        let before = crashing.says().await;
        assert!(before.starts_with("shows "), "{before}");
        assert_eq!(crashing.says().await, "committed");
        crashing.kill().await;

        // The change is there, and the cache knows nothing of it: what a visitor of
        // another process gets now is old.
        let mut visited = Process::start("visits", &file.path, store.url());
        assert_eq!(visited.says().await, before);
        assert_eq!(file.notes(), 1);
        assert_eq!(shown_after_a_restart(&file, &store).await, "shows 999 999");
        assert_eq!(file.notes(), 0, "done once, struck");
        cache_of(&file, &store).await.clear().await.unwrap();
    }

    /// Nobody restarts: the old value lives for one interval of the relay at most.
    async fn a_process_that_lives_does_what_a_crashed_one_left(store: TestStore) {
        let file = File::new();
        let living = Serving::start(&file.path, store.url()).await;
        let mut crashing = Process::start("changes", &file.path, store.url());
        crashing.says().await;
        assert_eq!(crashing.says().await, "committed");
        crashing.kill().await;
        until(async || living.get(&format!("/flights/{FLIGHT}")).await.body["delay_min"] == 999).await;
        until(async || file.notes() == 0).await;
        cache_of(&file, &store).await.clear().await.unwrap();
    }

    async fn what_was_invalidated_and_not_struck_before_a_crash_is_done_again(store: TestStore) {
        let file = File::new();
        let mut crashing = Process::start("changes", &file.path, store.url());
        let before = crashing.says().await;
        assert_eq!(crashing.says().await, "committed");
        let cache = cache_of(&file, &store).await;
        let is_cached = async || cache.peek(flights::get_flight::key(&FLIGHT)).await.unwrap().is_some();
        assert!(is_cached().await, "{before}");
        // While somebody else writes to the file the note cannot be struck.
        let writing = file.sql();
        writing.execute_batch("BEGIN IMMEDIATE").unwrap();
        crashing.goes_on().await;
        until(async || !is_cached().await).await;
        crashing.kill().await;
        drop(writing);

        assert_eq!(file.notes(), 1);
        assert_eq!(shown_after_a_restart(&file, &store).await, "shows 999 999");
        assert_eq!(file.notes(), 0);
        cache.clear().await.unwrap();
    }

    async fn notes_stay_while_the_store_is_away_and_nothing_they_name_is_served_when_it_is_back(store: TestStore) {
        let file = File::new();
        let db = file.open();
        let direct = store.cache().await;
        let names = ["tagged", "board", "plain", "other"];
        for name in names {
            direct.get_or_load(named(name), async || Ok::<_, ()>(1)).await.unwrap();
        }
        let proxy = FaultProxy::start(store.url().strip_prefix("redis://").unwrap().parse().unwrap()).await;
        // With one connection only, for once it answers no call may load for want of another.
        let cache = ready(store.builder().url(proxy.url()).connections(1)).await;
        file.note(&written(Invalidation::new().tag("tagged")));
        file.note(&written(Invalidation::new().pattern("board:*")));
        file.note(&written(Invalidation::new().key("plain:1")));

        proxy.set(Fault::Refuse).await;
        assert_eq!(outbox::relay(&db, &cache).await.unwrap(), RelayReport { done: 0, left: 3 });
        proxy.set(Fault::None).await;
        until(async || matches!(cache.peek::<u32>("other:1").await, Ok(Some(1)))).await;
        for name in &names[..3] {
            assert_eq!(cache.get_or_load(named(name), async || Ok::<_, ()>(2)).await, Ok(2), "{name}");
        }
        until(async || outbox::relay(&db, &cache).await.unwrap().left == 0).await;
        assert_eq!(direct.peek::<u32>("other:1").await.unwrap(), Some(1), "and nothing else was removed");
        assert_eq!(file.notes(), 0);
    }
}

fn named(name: &str) -> Key<u32> {
    key!("{name}:1").with_tags([name])
}

#[tokio::test]
async fn a_change_and_its_note_are_made_together_or_not_at_all() {
    let file = File::new();
    let db = file.open();
    let before = flights::get_flight(&db, FLIGHT).await.unwrap();
    file.sql()
        .execute_batch("CREATE TRIGGER full BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        .unwrap();
    flights::set_delay(&db, FLIGHT, 999).await.unwrap_err();
    flights::delete_flight(&db, FLIGHT).await.unwrap_err();
    let read = |sql: &str| file.sql().query_row(sql, [FLIGHT], |row| row.get::<_, i32>(0)).unwrap();
    assert_eq!(read("SELECT delay_min FROM flights WHERE id = ?"), before.unwrap().delay_min);
}

#[tokio::test]
async fn a_change_that_went_through_leaves_no_note() {
    let file = File::new();
    flights::set_delay(&file.open(), FLIGHT, 999).await.unwrap();
    assert_eq!(file.notes(), 0);
}

#[tokio::test]
async fn a_note_that_cannot_be_struck_does_not_make_the_change_fail() {
    let file = File::new();
    let db = file.open();
    file.sql()
        .execute_batch("CREATE TRIGGER stuck BEFORE DELETE ON outbox BEGIN SELECT RAISE(ABORT, 'read-only'); END")
        .unwrap();
    assert_eq!(flights::set_delay(&db, FLIGHT, 999).await.unwrap().delay_min, 999);
    assert_eq!(outbox::relay(&db, &Cache::in_memory()).await.unwrap(), RelayReport { done: 0, left: 1 });
}

#[tokio::test]
async fn notes_that_cannot_be_read_stay_and_keep_nothing_else_from_being_done() {
    let file = File::new();
    let (db, cache) = (file.open(), Cache::in_memory());
    assert_eq!(outbox::relay(&db, &cache).await.unwrap(), RelayReport::default());
    file.note("garbage");
    file.note(r#"{"version":2,"keys":["a"]}"#);
    file.note(&written(Invalidation::new().key("flight:1")));
    let (log, _listening) = Log::listen();
    for done in [1, 0] {
        assert_eq!(outbox::relay(&db, &cache).await.unwrap(), RelayReport { done, left: 2 });
    }
    assert_eq!(log.text().matches("ERROR").count(), 2, "once each time: {}", log.text());
}

#[tokio::test]
async fn two_relays_at_once_leave_nothing_but_what_cannot_be_read() {
    let file = File::new();
    let (one, other, cache) = (file.open(), file.open(), Cache::in_memory());
    for id in 0..250 {
        file.note(&written(Invalidation::new().key(format!("flight:{id}"))));
    }
    file.note("garbage");
    let (first, second) = tokio::join!(outbox::relay(&one, &cache), outbox::relay(&other, &cache));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert!(first.done + second.done >= 250, "{first:?} {second:?}");
    assert_eq!(file.notes(), 1);
}

/// Otherwise a relay that is late would strike a note that it has not read.
#[tokio::test]
async fn the_number_of_a_struck_note_is_never_used_again() {
    let file = File::new();
    let db = file.open();
    let last = || file.sql().query_row("SELECT max(id) FROM outbox", [], |row| row.get::<_, i64>(0)).unwrap();
    file.note(&written(Invalidation::new()));
    let struck = last();
    outbox::relay(&db, &Cache::in_memory()).await.unwrap();
    file.note(&written(Invalidation::new()));
    assert!(last() > struck);
}
