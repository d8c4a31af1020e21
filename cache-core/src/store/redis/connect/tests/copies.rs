//! The connection for reads of which copies are kept.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::fake::Door;
use super::*;
use crate::store::Voucher;

/// What was told of changes: a key, or `*` for all.
type Told = Arc<Mutex<Vec<String>>>;

fn telling_pool(fake: &Arc<Fake>) -> (Pool, Told) {
    let told = Told::default();
    let heard = told.clone();
    let on_change: ChangeHook = Box::new(move |key| {
        heard.lock().unwrap().push(key.map_or("*".to_owned(), |key| String::from_utf8_lossy(key).into_owned()));
    });
    let hooks =
        Hooks { on_connection: doing_nothing(), on_new_primary: finding_all(), on_loss: Box::new(|_| ()), on_change };
    (hooked(fake, &config(1), hooks), told)
}

async fn read(pool: &Pool) -> Result<Option<Arc<Voucher>>, Error> {
    let read = pool.read_to_copy(StripeKey::new("k"), Command::new("GET").arg("k"), in_time());
    read.await.map(|(_, voucher)| voucher)
}

/// Reads until there is a connection for copies.
async fn vouched(pool: &Pool) -> Arc<Voucher> {
    for _ in 0..100 {
        if let Some(voucher) = read(pool).await.unwrap() {
            return voucher;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("nothing vouches for copies");
}

#[tokio::test(start_paused = true)]
async fn until_a_connection_vouches_a_read_takes_another_one() {
    let fake = Fake::new();
    let (pool, _) = telling_pool(&fake);
    assert!(read(&pool).await.unwrap().is_none());
    let voucher = vouched(&pool).await;
    assert!(voucher.vouches_now());
    let modes: Vec<String> = fake.seen("CLIENT TRACKING").into_iter().map(|(_, command)| command).collect();
    assert!(modes.contains(&"CLIENT TRACKING ON".to_owned()), "{modes:?}");
    let carrying: Vec<usize> = fake.seen("GET").into_iter().map(|(connection, _)| connection).collect();
    get(&pool, "k").await.unwrap();
    let other = fake.seen("GET").last().unwrap().0;
    assert_ne!(carrying.last(), Some(&other), "it carries nothing else");
}

#[tokio::test(start_paused = true)]
async fn a_push_is_told_in_the_order_of_the_stream() {
    let fake = Fake::new();
    let (pool, told) = telling_pool(&fake);
    vouched(&pool).await;
    told.lock().unwrap().clear();
    fake.on("GET", Answer::raw("$1\r\nx\r\n>2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"));
    read(&pool).await.unwrap();
    fake.on("GET", Answer::raw(">2\r\n$10\r\ninvalidate\r\n_\r\n$1\r\nx\r\n"));
    read(&pool).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["k", "*"]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ends_vouches_for_nothing_and_tells_that_all_may_have_changed() {
    let fake = Fake::new();
    let (pool, told) = telling_pool(&fake);
    let voucher = vouched(&pool).await;
    told.lock().unwrap().clear();
    fake.set_door(Door::Refuse);
    fake.on("GET", Answer::Cut(Vec::new()));
    read(&pool).await.unwrap_err();
    tokio::task::yield_now().await;
    assert!(voucher.is_revoked() && !voucher.vouches_now());
    assert_eq!(told.lock().unwrap().first().map(String::as_str), Some("*"));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_asked_goes_on_vouching_and_a_silent_one_does_not() {
    let fake = Fake::new();
    let (pool, _) = telling_pool(&fake);
    let voucher = vouched(&pool).await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert!(voucher.vouches_now());
    }
    fake.go_silent();
    tokio::time::sleep(crate::config::NEAR_TRUST + Duration::from_millis(1)).await;
    assert!(!voucher.vouches_now());
    assert!(pool.lacks_vouchers());
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_resolved_at_once() {
    let fake = Fake::new();
    let (pool, _) = telling_pool(&fake);
    let voucher = vouched(&pool).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let doubted = clock::stamp(clock::now());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!voucher.vouches(clock::now(), doubted));
    pool.confirm_copies();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(voucher.vouches(clock::now(), doubted));
}

/// It may have been on its way while the change was made.
#[tokio::test(start_paused = true)]
async fn an_answer_to_an_earlier_question_resolves_no_doubt() {
    let fake = Fake::new();
    let (pool, _) = telling_pool(&fake);
    let voucher = vouched(&pool).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answer = Arc::new(Notify::new());
    let primary = b"%2\r\n+server\r\n+redis\r\n+role\r\n$6\r\nmaster\r\n";
    fake.on("HELLO 3", Answer::ReplyAfter(answer.clone(), primary.to_vec()));
    pool.confirm_copies();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let doubted = clock::stamp(clock::now());
    for is_vouched in [false, true] {
        tokio::time::sleep(Duration::from_millis(1)).await;
        answer.notify_waiters();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(voucher.vouches(clock::now(), doubted), is_vouched);
        pool.confirm_copies();
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_became_a_replica_vouches_for_nothing() {
    let fake = Fake::new();
    let (pool, _) = telling_pool(&fake);
    let voucher = vouched(&pool).await;
    fake.set_role("replica");
    tokio::time::sleep(crate::config::NEAR_ASK_INTERVAL + Duration::from_millis(1)).await;
    assert!(voucher.is_revoked());
}

/// Whichever connection has met it: the one for copies may still be open, and vouch for them.
#[tokio::test(start_paused = true)]
async fn that_all_may_have_changed_is_told_once_another_primary_is_known() {
    let fake = Fake::new();
    let (pool, told) = telling_pool(&fake);
    let in_time = Duration::from_secs(1);
    for (run_id, expected) in [("b", &["*"][..]), ("b", &[]), ("c", &["*"])] {
        pool.ready(in_time).await.unwrap();
        told.lock().unwrap().clear();
        fake.become_primary(run_id);
        fake.on("GET", Answer::Cut(Vec::new()));
        get(&pool, "k").await.unwrap_err();
        fake.on("GET", Answer::Echo);
        pool.ready(in_time).await.unwrap();
        get(&pool, "k").await.unwrap();
        assert_eq!(*told.lock().unwrap(), expected, "{run_id}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_tracking_there_are_no_copies_and_reads_go_on() {
    let fake = Fake::new();
    fake.on("CLIENT TRACKING", Answer::raw("-NOPERM private\r\n"));
    let (pool, _) = telling_pool(&fake);
    for _ in 0..20 {
        assert!(read(&pool).await.unwrap().is_none());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
