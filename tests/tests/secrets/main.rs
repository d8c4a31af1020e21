//! No secret leaves the cache: not in a log, a span, a metric or an error, whatever fails. What is
//! asked for by key, such as an explanation, may say the key, and no more: see `SECURITY.md`.

mod app;
mod ear;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cache_core::{Cache, Credentials, Error, Invalidation};
use cache_tests::{Fault, FaultProxy, SentinelSet, Server, TestStore, each_server, each_store, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use self::app::{App, asked_for, checked, errors_of, everything, form, plain, said_of, small};
use self::ear::{
    HEARD, PASSWORD, SECRETS, SPELLED, USER, VALUE, VERIFIED, holds_none, nothing_was_heard_of_secrets, words_of,
};

/// Neither what was said nor what is told to who asks. The latter may spell a key.
async fn says_no_secret(app: &Arc<App>, said: &str) {
    holds_none(said, &SECRETS);
    holds_none(said, &[SPELLED]);
    holds_none(&asked_for(app).await, &SECRETS);
}

each_store! {
async fn a_store_that_works_says_no_secret(store: TestStore) {
    LazyLock::force(&HEARD);
    let app = small(Cache::builder().url(store.url()).namespace(store.namespace()));
    everything(&app).await;
    let text = said_of(&app.cache) + &errors_of(&app).await;
    says_no_secret(&app, &text).await;
    nothing_was_heard_of_secrets("cache load");
    nothing_was_heard_of_secrets("values are not stored");
}
}

each_server! {
async fn bytes_of_others_are_not_repeated(store: TestStore) {
    LazyLock::force(&HEARD);
    let app = small(Cache::builder().url(store.url()).namespace(store.namespace()));
    let mut raw = store.raw().await;
    let key = |text: &str| format!("{}:{text}", store.namespace());
    let entry = key(plain::key(SPELLED, &form()).as_str());
    for foreign in [VALUE.to_owned(), format!("\u{2}\u{1}\0\0{}", VALUE.repeat(20))] {
        raw.command::<()>("SET", &[&entry, &foreign]).await;
        plain(&app, SPELLED, &form()).await.unwrap();
        app.cache.explain(plain::key(SPELLED, &form())).await.unwrap();
        app.cache.clear().await.unwrap();
    }
    for bookkeeping in ["~clock", "~index:tT", "~due", &format!("~lease:{}", plain::key(SPELLED, &form()))] {
        raw.command::<()>("DEL", &[&key(bookkeeping)]).await;
        raw.command::<()>("SET", &[&key(bookkeeping), VALUE]).await;
        everything(&app).await;
    }
    raw.command::<()>("DEL", &[&entry]).await;
    raw.command::<()>("RPUSH", &[&entry, VALUE]).await;
    everything(&app).await;
    let text = said_of(&app.cache) + &errors_of(&app).await;
    says_no_secret(&app, &text).await;
    nothing_was_heard_of_secrets("cache load");
}

async fn a_server_that_goes_away_is_told_of_without_secrets(store: TestStore) {
    LazyLock::force(&HEARD);
    let address = store.url();
    let address = address.trim_start_matches("redis://").trim_end_matches('/').parse().unwrap();
    let proxy = FaultProxy::start(address).await;
    let url = proxy.url().replace("redis://", &format!("redis://{USER}:{PASSWORD}@"));
    let mut raw = store.raw().await;
    let rules = ["SETUSER", USER, "on", &format!(">{PASSWORD}"), "~*", "&*", "+@all"];
    raw.command::<()>("ACL", &rules).await;
    let builder = Cache::builder().url(url).namespace(store.namespace());
    let app = small(builder.slow_store_call(Duration::from_millis(1)).breaker_failures(1_000));
    app.cache.ready(Duration::from_secs(60)).await.unwrap();
    everything(&app).await;
    proxy.set(Fault::LoseReplies).await;
    everything(&app).await;
    let mut text = errors_of(&app).await + &said_of(&app.cache);
    proxy.set(Fault::Refuse).await;
    everything(&app).await;
    text += &(errors_of(&app).await + &said_of(&app.cache));
    let owed = app.cache.shutdown(Duration::from_millis(10)).await;
    assert!(!owed.is_empty());
    holds_none(&format!("{owed:?} {:?}", owed.to_json()), &SECRETS);
    says_no_secret(&app, &text).await;
    raw.command::<()>("ACL", &["DELUSER", USER]).await;
    for about in ["an invalidation failed", "waited for the store", "Redis connection down"] {
        nothing_was_heard_of_secrets(about);
    }
}

async fn credentials_that_do_not_do_are_not_repeated(store: TestStore) {
    LazyLock::force(&HEARD);
    let server = Server::start(store.kind().unwrap());
    server.raw().await.command::<()>("ACL", &["SETUSER", "default", "off"]).await;
    let with_url = |login: &str| {
        let url = server.url().replace("redis://", &format!("redis://{login}@"));
        small(Cache::builder().url(url).namespace(store.namespace()))
    };
    let given = small(
        Cache::builder()
            .url(server.url())
            .namespace(store.namespace())
            .credentials(|| async { Ok::<_, Error>(Credentials::new(USER, PASSWORD).valid_for(Duration::from_secs(1))) }),
    );
    let refused = small(
        Cache::builder()
            .url(server.url())
            .namespace(store.namespace())
            .credentials(|| async { Err::<Credentials, _>(std::io::Error::other("the vault is shut")) }),
    );
    holds_none(&format!("{:?}", Credentials::new(USER, PASSWORD)), &SECRETS);
    for app in [with_url(&format!("{USER}:{PASSWORD}")), with_url(&format!(":{PASSWORD}")), given, refused] {
        let error = app.cache.ready(Duration::from_millis(500)).await.unwrap_err();
        everything(&app).await;
        let text = words_of(&error) + &errors_of(&app).await + &said_of(&app.cache);
        holds_none(&text, &SECRETS);
        holds_none(&text, &[SPELLED]);
    }
    nothing_was_heard_of_secrets("Redis connection down");
}

async fn sentinels_are_told_of_without_secrets(store: TestStore) {
    LazyLock::force(&HEARD);
    let set = SentinelSet::start(store.kind().unwrap()).await;
    let places = set.url();
    let places = places.split_once("://").unwrap().1.split_once('/').unwrap().0.to_owned();
    let places = places.rsplit('@').next().unwrap();
    for url in [
        format!("redis-sentinel://{USER}:{PASSWORD}@{places}/unknown"),
        format!("redis-sentinel://{USER}:{PASSWORD}@{places}/main?sentinel_user={USER}&sentinel_pass={PASSWORD}"),
        format!("redis-sentinel://{USER}:{PASSWORD}@{places}/main"),
    ] {
        let app = small(Cache::builder().url(url).namespace(store.namespace()));
        let error = app.cache.ready(Duration::from_millis(500)).await.unwrap_err();
        _ = plain(&app, SPELLED, &form()).await;
        holds_none(&(words_of(&error) + &said_of(&app.cache)), &SECRETS);
    }
    nothing_was_heard_of_secrets("Redis connection down");
}

async fn a_server_without_tls_is_told_of_without_secrets(store: TestStore) {
    LazyLock::force(&HEARD);
    let url = store.url().replace("redis://", &format!("rediss://{USER}:{PASSWORD}@"));
    let app = small(Cache::builder().url(url).namespace(store.namespace()));
    let error = app.cache.ready(Duration::from_millis(500)).await.unwrap_err();
    holds_none(&(words_of(&error) + &said_of(&app.cache)), &SECRETS);
    nothing_was_heard_of_secrets("Redis connection down");
}
}

/// Answers each command with the same bytes.
async fn parrot(answer: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{USER}:{PASSWORD}@{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let answer = answer.clone();
            tokio::spawn(async move {
                let mut bytes = [0; 4_096];
                while stream.read(&mut bytes).await.is_ok_and(|count| count > 0) {
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    url
}

#[tokio::test]
async fn a_server_that_repeats_what_it_was_sent_is_not_quoted() {
    LazyLock::force(&HEARD);
    for answer in [
        format!("-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' '{USER}' '{PASSWORD}' \r\n"),
        format!("-WRONGPASS {PASSWORD} is wrong\r\n"),
        format!("-{PASSWORD} is wrong\r\n"),
        format!("-NOPERM {USER} may not\r\n"),
        format!("-ODD {USER} {PASSWORD}\r\n"),
        format!("-MOVED 1 {PASSWORD}\r\n"),
        format!("+{PASSWORD}\r\n"),
        format!("{PASSWORD}\r\n"),
        format!("${}\r\n{PASSWORD}\r\n", PASSWORD.len()),
    ] {
        let app = small(Cache::builder().url(parrot(answer).await));
        let error = app.cache.ready(Duration::from_millis(300)).await.unwrap_err();
        _ = plain(&app, SPELLED, &form()).await;
        holds_none(&(words_of(&error) + &errors_of(&app).await + &said_of(&app.cache)), &SECRETS);
    }
    nothing_was_heard_of_secrets("Redis connection down");
}

#[tokio::test]
async fn urls_and_settings_that_cannot_work_are_refused_without_their_secrets() {
    LazyLock::force(&HEARD);
    let (login, host) = (format!("{USER}:{PASSWORD}"), "127.0.0.1:1");
    let mut errors = 0;
    for url in [
        format!("http://{login}@{host}"),
        format!("{login}@{host}"),
        format!("redis:{login}@{host}"),
        format!("redis://{login}@"),
        format!("redis://{login}@host:{PASSWORD}"),
        format!("redis://{login}@{host}/{PASSWORD}"),
        format!("redis://{login}@{host}?pass={PASSWORD}"),
        format!("redis://{login}@{host}?{PASSWORD}"),
        format!("redis://{login}@{host}#{PASSWORD}"),
        format!("redis://{login}%ff@{host}"),
        format!("redis://{USER}:{PASSWORD}/@{host}"),
        format!("redis://{USER}:{PASSWORD}#1@{host}"),
        format!("redis://{login}@{host} "),
        format!("rediss://{login}@{host}?ca=/nowhere/at/all"),
        format!("rediss://{login}@{host}?cert=/nowhere"),
        format!("redis-sentinel://{login}@{host}"),
        format!("redis-sentinel://{login}@{host}/main/{PASSWORD}"),
        format!("redis-sentinel://{login}@{host}/main?sentinel_password={PASSWORD}"),
        format!("redis+unix://{PASSWORD}?pass={PASSWORD}"),
        format!("redis+unix:///tmp/s?pass={PASSWORD}&db={PASSWORD}"),
        format!("memory://{login}@{host}"),
        format!("redis-cluster://{login}@{host}"),
    ] {
        let builder = Cache::builder().url(url.clone());
        holds_none(&format!("{builder:?}"), &SECRETS);
        match builder.build() {
            Ok(cache) => holds_none(&said_of(&cache), &SECRETS),
            Err(error) => {
                errors += 1;
                holds_none(&words_of(&error), &SECRETS);
            }
        }
    }
    assert!(errors > 15, "{errors}");
    let provided = Cache::builder().url(format!("redis://{login}@{host}"));
    let provided = provided.credentials(|| async { Ok::<_, Error>(Credentials::new(USER, PASSWORD)) });
    holds_none(&(words_of(&provided.clone().build().unwrap_err()) + &format!("{provided:?}")), &SECRETS);
    for builder in [Cache::builder().namespace(format!("{PASSWORD}:")), Cache::builder().jitter(1.0)] {
        holds_none(&words_of(&builder.build().unwrap_err()), &SECRETS);
    }
    let json = format!(r#"{{"version":1,"keys":["{VALUE}"],"nonsense":"{PASSWORD}"}}"#);
    holds_none(&Invalidation::from_json(&json).map_or_else(|error| words_of(&error), |_| String::new()), &SECRETS);
}

#[tokio::test(start_paused = true)]
async fn the_report_of_an_inconsistent_entry_says_its_key_and_no_more() {
    LazyLock::force(&HEARD);
    let app = App::new(Cache::in_memory());
    for _ in 0..2 {
        checked(app.clone(), SPELLED, &form()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(61)).await;
    until(async || app.cache.stats().total().inconsistencies == 1).await;
    let heard = HEARD.lock().unwrap().join("\n");
    let report = heard.split_once(VERIFIED).expect("a report").1;
    assert!(report.contains("checked:"), "{report}");
    holds_none(&heard, &SECRETS);
}
