use tokio::sync::Notify;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// A pool of so many connections that hears of losses. The hook for each primary but the first is
/// `meet`, which is given how many came before.
fn listening<F>(
    fake: &Arc<Fake>,
    connections: usize,
    meet: impl Fn(usize) -> F + Send + Sync + 'static,
) -> (Pool, Arc<AtomicUsize>)
where
    F: Future<Output = Inheritance> + Send + 'static,
{
    let (losses, met) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
    let heard = losses.clone();
    let on_new_primary: MeetingHook = Box::new(move |_| {
        let found = meet(met.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move { Ok(found.await) })
    });
    let on_loss: LossHook = Box::new(move |_| _ = heard.fetch_add(1, Ordering::SeqCst));
    let hooks = Hooks { on_connection: doing_nothing(), on_new_primary, on_loss, on_change: Box::new(|_| ()) };
    (hooked(fake, &config(connections), hooks), losses)
}

async fn fail_over(fake: &Arc<Fake>, pool: &Pool) {
    pool.ready(LONG).await.unwrap();
    fake.become_primary("b");
    fake.on("GET cut", Answer::Cut(Vec::new()));
    get(pool, "cut").await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_told_before_the_primary_may_be_used() {
    let fake = Fake::new();
    let (pool, losses) = listening(&fake, 1, |_| async { Inheritance::Lost });
    fail_over(&fake, &pool).await;
    assert_eq!(losses.load(Ordering::SeqCst), 0);
    pool.ready(LONG).await.unwrap();
    get(&pool, "k").await.unwrap();
    assert_eq!(losses.load(Ordering::SeqCst), 1);
}

/// ★ Calls on the first connection have moved on what this process has seen.
#[tokio::test(start_paused = true)]
async fn a_verdict_counts_only_if_no_other_connection_has_adopted_the_primary() {
    let fake = Fake::new();
    let (second, adopted) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (enters, ends) = (second.clone(), adopted.clone());
    let (pool, losses) = listening(&fake, 2, move |before| {
        let (second, adopted) = (enters.clone(), ends.clone());
        async move {
            if before == 0 {
                second.notified().await;
                return Inheritance::Whole;
            }
            second.notify_one();
            adopted.notified().await;
            Inheritance::Lost
        }
    });
    pool.ready(LONG).await.unwrap();
    fake.become_primary("b");
    fake.on("GET", Answer::Cut(Vec::new()));
    let calls = tokio::join!(get(&pool, "1"), get(&pool, "2"), get(&pool, "3"), get(&pool, "4"));
    assert!(calls.0.is_err() && calls.3.is_err());
    fake.on("GET", Answer::Echo);
    while !pool.is_connected() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    adopted.notify_one();
    tokio::time::sleep(LONG).await;
    pool.ready(LONG).await.unwrap();
    assert_eq!(losses.load(Ordering::SeqCst), 0);
}
