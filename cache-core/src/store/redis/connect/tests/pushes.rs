//! Pushes of changes, and a server without pushes.

use super::fake::Door;
use super::*;
use crate::store::redis::{RedisStore, layout::Layout};
use crate::store::{Change, IfPresent, Store};

fn exists() -> Command {
    Command::new("EXISTS").args(["lease", "value", "value"])
}

async fn told(watch: &Watch) -> Option<Change> {
    tokio::time::timeout(Duration::from_secs(1), watch.changed()).await.ok()
}

async fn watching(pool: &Pool) -> Watch {
    let watch = pool.register(StripeKey::new("k"), "value", "lease", in_time()).await.unwrap();
    pool.track(StripeKey::new("k"), exists(), in_time()).await.unwrap();
    watch
}

#[tokio::test(start_paused = true)]
async fn a_watch_is_woken_by_a_push_of_its_own_key() {
    let fake = Fake::new();
    let pool = pool(&fake);
    fake.on("EXISTS", Answer::raw(":1\r\n"));
    let watch = watching(&pool).await;
    let seen: Vec<String> = fake.seen("").into_iter().map(|(_, command)| command).collect();
    assert_eq!(seen[seen.len() - 2..], ["CLIENT CACHING YES", "EXISTS lease value value"]);
    fake.on("GET", Answer::raw(">2\r\n$10\r\ninvalidate\r\n*1\r\n$5\r\nother\r\n$1\r\nx\r\n"));
    get(&pool, "k").await.unwrap();
    assert_eq!(told(&watch).await, None);
    fake.on("GET", Answer::raw(">2\r\n$10\r\ninvalidate\r\n*2\r\n$5\r\nlease\r\n$5\r\nvalue\r\n$1\r\nx\r\n"));
    get(&pool, "k").await.unwrap();
    assert_eq!(timed(told(&watch)).await, (Some(Change::Value), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_flush_of_everything_wakes_everyone() {
    let fake = Fake::new();
    let pool = pool(&fake);
    fake.on("EXISTS", Answer::raw(":1\r\n"));
    let watch = watching(&pool).await;
    fake.on("GET", Answer::raw(">2\r\n$10\r\ninvalidate\r\n_\r\n$1\r\nx\r\n"));
    get(&pool, "k").await.unwrap();
    assert_eq!(timed(told(&watch)).await, (Some(Change::Unknown), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_wakes_everyone() {
    let fake = Fake::new();
    let pool = pool(&fake);
    fake.on("EXISTS", Answer::raw(":1\r\n"));
    let watch = watching(&pool).await;
    fake.set_door(Door::Refuse);
    fake.on("GET", Answer::Cut(Vec::new()));
    get(&pool, "k").await.unwrap_err();
    assert_eq!(timed(told(&watch)).await, (Some(Change::Unknown), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_server_without_tracking_serves_everything_else() {
    let fake = Fake::new();
    fake.on("CLIENT TRACKING", Answer::raw("-NOPERM private\r\n"));
    let pool = pool(&fake);
    pool.ready(Duration::from_secs(1)).await.unwrap();
    let error = pool.track(StripeKey::new("k"), exists(), in_time()).await.unwrap_err();
    check_discreet(&error);
    assert!(fake.seen("CLIENT CACHING").is_empty() && fake.seen("EXISTS").is_empty(), "no round trip for nothing");
    assert_eq!(get(&pool, "k").await.unwrap(), "k");
}

#[tokio::test(start_paused = true)]
async fn a_refused_permission_to_track_is_an_error() {
    let fake = Fake::new();
    let pool = pool(&fake);
    fake.on("EXISTS", Answer::raw(":1\r\n"));
    fake.on("CLIENT CACHING", Answer::raw("-ERR private\r\n"));
    check_discreet(&pool.track(StripeKey::new("k"), exists(), in_time()).await.unwrap_err());
    assert_eq!(get(&pool, "k").await.unwrap(), "k", "replies stay in step");
}

/// Reply and push arrive in one piece, because the change came right after the look.
#[tokio::test(start_paused = true)]
async fn a_change_right_after_the_look_is_told() {
    let fake = Fake::new();
    fake.on("EXISTS", Answer::raw(":1\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$13\r\nshop:~lease:k\r\n"));
    let store = RedisStore::on(Arc::new(pool(&fake)), Layout::new("shop"), DEADLINE);
    let watch = store.watch("k", IfPresent::Return, far()).await.unwrap().unwrap();
    assert_eq!(told(&watch).await, Some(Change::Lease));
}
