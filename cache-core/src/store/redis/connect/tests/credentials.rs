//! What a connection logs in with when a provider gives it for a time.

use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

use tokio::time::{advance, sleep};

use super::*;
use crate::config::CREDENTIALS_MARGIN_MAX;

const QUARTER_HOUR: Duration = Duration::from_secs(15 * 60);
const LONG: Duration = Duration::from_secs(60);

/// A provider of `zoe` with the passwords 1, 2, 3, …, each for a quarter of an hour.
struct Issuer {
    issued: AtomicUsize,
    fails: AtomicBool,
    hangs: AtomicBool,
    valid_for: Mutex<Option<Duration>>,
}

impl Issuer {
    fn new() -> Arc<Self> {
        let valid_for = Mutex::new(Some(QUARTER_HOUR));
        Arc::new(Self { issued: AtomicUsize::new(0), fails: false.into(), hangs: false.into(), valid_for })
    }

    fn provider(self: &Arc<Self>) -> CredentialsProvider {
        let issuer = self.clone();
        CredentialsProvider::new(move || {
            let issuer = issuer.clone();
            async move {
                let number = issuer.issued.fetch_add(1, Ordering::SeqCst) + 1;
                if issuer.hangs.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                if issuer.fails.load(Ordering::SeqCst) {
                    return Err("no token today");
                }
                let credentials = Credentials::new("zoe", number.to_string());
                let valid_for = *issuer.valid_for.lock().unwrap();
                Ok(valid_for.map_or(credentials.clone(), |time| credentials.valid_for(time)))
            }
        })
    }
}

fn pool_of(fake: &Arc<Fake>, issuer: &Arc<Issuer>) -> Pool {
    let target = ServerUrl::parse("redis://fake.test").unwrap();
    let logins = Logins::of(&target, Some(&issuer.provider())).unwrap();
    let hooks = Hooks {
        on_connection: doing_nothing(),
        on_new_primary: finding_all(),
        on_loss: Box::new(|_| ()),
        on_change: Box::new(|_| ()),
    };
    Pool::of_server(target, fake.dial(), &making(logins, &config(1), hooks))
}

fn logins(fake: &Fake) -> Vec<(usize, String)> {
    let mut logins = fake.seen("HELLO 3 AUTH");
    logins.extend(fake.seen("AUTH"));
    logins
}

#[tokio::test(start_paused = true)]
async fn a_connection_asks_when_it_is_opened_and_again_before_the_end() {
    let (fake, issuer) = (Fake::new(), Issuer::new());
    let pool = pool_of(&fake, &issuer);
    pool.ready(LONG).await.unwrap();
    assert_eq!(logins(&fake), [(1, "HELLO 3 AUTH zoe 1".to_owned())]);
    let margin = CREDENTIALS_MARGIN_MAX;
    for number in 2..=4 {
        sleep(QUARTER_HOUR - margin - Duration::from_secs(3)).await;
        assert_eq!(issuer.issued.load(Ordering::SeqCst), number - 1, "not before it has to");
        sleep(Duration::from_secs(4)).await;
        assert_eq!(logins(&fake).last().unwrap(), &(1, format!("AUTH zoe {number}")));
        get(&pool, "k").await.unwrap();
    }
    assert_eq!(fake.dials(), 1, "the connection stays");
}

#[tokio::test(start_paused = true)]
async fn without_an_end_nothing_is_renewed() {
    let (fake, issuer) = (Fake::new(), Issuer::new());
    *issuer.valid_for.lock().unwrap() = None;
    let pool = pool_of(&fake, &issuer);
    pool.ready(LONG).await.unwrap();
    sleep(QUARTER_HOUR * 4).await;
    assert_eq!(logins(&fake), [(1, "HELLO 3 AUTH zoe 1".to_owned())]);
}

/// A provider that is away for less than the margin is noticed by no call.
#[tokio::test(start_paused = true)]
async fn a_provider_that_fails_is_asked_again_while_calls_go_on() {
    let (fake, issuer) = (Fake::new(), Issuer::new());
    let pool = pool_of(&fake, &issuer);
    pool.ready(LONG).await.unwrap();
    for trouble in [&issuer.fails, &issuer.hangs] {
        let before = logins(&fake).len();
        trouble.store(true, Ordering::SeqCst);
        sleep(QUARTER_HOUR - CREDENTIALS_MARGIN_MAX / 2).await;
        assert_eq!(logins(&fake).len(), before);
        get(&pool, "k").await.unwrap();
        trouble.store(false, Ordering::SeqCst);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(logins(&fake).len(), before + 1);
    }
    assert_eq!(fake.dials(), 1);
}

#[tokio::test(start_paused = true)]
async fn credentials_may_be_valid_for_a_time_of_any_length() {
    let (fake, issuer) = (Fake::new(), Issuer::new());
    *issuer.valid_for.lock().unwrap() = Some(Duration::MAX);
    let pool = pool_of(&fake, &issuer);
    pool.ready(LONG).await.unwrap();
    get(&pool, "k").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_server_that_refuses_the_renewal_is_asked_again_too() {
    let (fake, issuer) = (Fake::new(), Issuer::new());
    let pool = pool_of(&fake, &issuer);
    pool.ready(LONG).await.unwrap();
    fake.on("AUTH", Answer::raw("-WRONGPASS not replicated yet\r\n"));
    sleep(QUARTER_HOUR - CREDENTIALS_MARGIN_MAX / 2).await;
    assert!(fake.seen("AUTH").len() > 2);
    fake.on("AUTH", Answer::raw("+OK\r\n"));
    sleep(QUARTER_HOUR).await;
    get(&pool, "k").await.unwrap();
    assert_eq!(fake.dials(), 1);
}

/// The server would refuse what is sent, one call at a time.
#[tokio::test(start_paused = true)]
async fn credentials_that_have_ended_end_the_connection() {
    let (fake, issuer) = (Fake::new(), Issuer::new());
    let pool = pool_of(&fake, &issuer);
    pool.ready(LONG).await.unwrap();
    issuer.fails.store(true, Ordering::SeqCst);
    sleep(QUARTER_HOUR - Duration::from_millis(1)).await;
    get(&pool, "k").await.unwrap();
    advance(Duration::from_millis(2)).await;
    fake.closed(1).await;
    let error = get(&pool, "k").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("no token today"), "{error}");
    issuer.fails.store(false, Ordering::SeqCst);
    pool.ready(LONG).await.unwrap();
    get(&pool, "k").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_answers_holds_a_start_no_longer_than_a_server_does() {
    let (fake, issuer) = (Fake::new(), Issuer::new());
    issuer.hangs.store(true, Ordering::SeqCst);
    let pool = pool_of(&fake, &issuer);
    let (outcome, took) = timed(get(&pool, "k")).await;
    let error = outcome.unwrap_err();
    assert!(took <= DEADLINE, "{took:?}");
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout), "{error}");
    let error = pool.ready(LONG).await.unwrap_err();
    assert!(error.to_string().contains("provider of credentials"), "{error}");
}

#[test]
fn a_url_with_credentials_wants_no_provider() {
    for url in ["redis://:s3cr3t@fake.test", "redis://zoe:s3cr3t@fake.test", "redis://zoe@fake.test"] {
        let target = ServerUrl::parse(url).unwrap();
        let provider = CredentialsProvider::new(|| async { Ok::<_, Error>(Credentials::new("zoe", "s3cr3t")) });
        let error: Error = Logins::of(&target, Some(&provider)).err().unwrap().into();
        assert_eq!(error.kind(), ErrorKind::Config);
        check_discreet(&error);
    }
    assert_eq!(format!("{:?}", Credentials::new("zoe", "s3cr3t")), "Credentials { valid_for: None, .. }");
}
