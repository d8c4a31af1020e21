//! `top`, `watch`, `warm` and `serve`, with the admin page of this process or of the program.

use std::convert::Infallible;
use std::future::IntoFuture;
use std::io::Read;

use axum::Router;
use cache_admin::Admin;
use cache_core::{Cache, Warmer, cached};
use cache_tests::{Server, TestStore, each_store, ready};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;

use crate::program::{Said, command, run, terminal};

#[cached(prefix = "flight", ttl = "1h", tags = ["fleet"], skip(cache), cache = cache)]
async fn flight(cache: &Cache, id: u64) -> u64 {
    id
}

/// Serves the admin page of this process until the test ends.
async fn served(admin: Admin) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/cache", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().nest("/cache", admin.router())).into_future());
    url
}

async fn at_page(url: &str, arguments: &[&str]) -> Said {
    let mut command = command(arguments);
    command.env("CACHE_ADMIN", url);
    run(command).await
}

async fn interrupt(child: Child) -> Said {
    kill_process(Pid::from_raw(child.id().unwrap().cast_signed()).unwrap(), Signal::INT).unwrap();
    Said::of(&child.wait_with_output().await.unwrap())
}

each_store! {
    async fn top_shows_what_happens_between_two_looks(store: TestStore) {
        let cache = store.cache().await;
        let url = served(Admin::new("flights", &cache)).await;
        flight(&cache, 1).await;
        let mut looking = command(&["top", "--interval", "1", "--times", "2", "--json"]);
        let mut child = looking.env("CACHE_ADMIN", &url).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // Calls before the first look count for nothing, so they go on until one was counted.
        let first = loop {
            tokio::select! {
                biased;
                line = lines.next_line() => break line.unwrap().unwrap(),
                _ = async { flight(&cache, 1).await; tokio::task::yield_now().await } => {}
            }
        };
        let first: Value = serde_json::from_str(&first).unwrap_or_else(|error| panic!("{error}: {first:?}"));
        assert_eq!((&first["cache"], &first["prefixes"][0]["prefix"]), (&json!("flights"), &json!("flight")));
        assert!(first["prefixes"][0]["calls_per_s"].as_f64() > Some(0.0), "{first}");
        assert_eq!((&first["prefixes"][0]["hit_rate"], &first["prefixes"][0]["load_ms"]), (&json!(1.0), &json!(null)));
        assert!(lines.next_line().await.unwrap().is_some() && lines.next_line().await.unwrap().is_none());
        let said = Said::of(&child.wait_with_output().await.unwrap());
        assert_eq!((said.code, said.err.as_str()), (0, ""), "{said:?}");
        let words = at_page(&url, &["top", "--interval", "1", "--times", "1"]).await;
        assert!(words.out.contains("calls/s") && words.out.contains("flight") && !words.out.contains('\x1b'), "{words:?}");
    }

    async fn top_gives_the_terminal_back_when_it_is_interrupted(store: TestStore) {
        let cache = store.cache().await;
        let url = served(Admin::new("flights", &cache)).await;
        flight(&cache, 1).await;
        let (mut person, program) = terminal();
        let mut looking = command(&["top", "--interval", "1"]);
        let child = looking.env("CACHE_ADMIN", &url).stdout(program).spawn().unwrap();
        drop(looking);
        let pid = Pid::from_raw(child.id().unwrap().cast_signed()).unwrap();
        let seen = tokio::task::spawn_blocking(move || {
            let (mut seen, mut part, mut is_interrupted) = (String::new(), [0; 4_096], false);
            // A terminal that no program has any more is an error on Linux, and an end elsewhere.
            while let Ok(1..) = person.read(&mut part).inspect(|read| seen += &String::from_utf8_lossy(&part[..*read])) {
                if seen.contains("calls/s") && !is_interrupted {
                    kill_process(pid, Signal::INT).unwrap();
                    is_interrupted = true;
                }
            }
            seen
        });
        let said = Said::of(&child.wait_with_output().await.unwrap());
        assert_eq!((said.code, said.err.as_str()), (130, ""), "{said:?}");
        let seen = seen.await.unwrap();
        assert!(seen.starts_with("\x1b[?1049h\x1b[?25l") && seen.contains("flight"), "{seen:?}");
        assert!(seen.ends_with("\x1b[?25h\x1b[?1049l"), "{seen:?}");
    }

    async fn watch_tells_of_invalidations_until_it_is_interrupted(store: TestStore) {
        let cache = store.cache().await;
        let url = served(Admin::new("flights", &cache)).await;
        flight(&cache, 1).await;
        for json in [true, false] {
            let mut watching = command(if json { &["watch", "--json"][..] } else { &["watch"] });
            let mut child = watching.env("CACHE_ADMIN", &url).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            let hello = lines.next_line().await.unwrap().unwrap();
            cache.invalidate_tag("fleet").await.unwrap();
            let told = lines.next_line().await.unwrap().unwrap();
            if json {
                let told: Value = serde_json::from_str(&told).unwrap();
                assert_eq!((&told["event"], &told["named"]), (&json!("invalidation"), &json!([{ "tag": "fleet" }])));
                assert_eq!((&told["removed"], &told["outcome"]), (&json!(1), &json!("ok")));
            } else {
                assert_eq!(hello, "watching flights");
                assert!(told.contains(" flights names tag fleet: 0 removed in "), "{told}");
            }
            let said = interrupt(child).await;
            assert_eq!((said.code, said.err.as_str()), (130, ""), "{said:?}");
        }
    }

    async fn warm_loads_what_the_process_has_registered(store: TestStore) {
        let cache = store.cache().await;
        let keys = || async { Ok::<_, Infallible>(["flight:2", "flight:4"]) };
        let warmer = Warmer::new(&cache).register_keys("even ones", keys);
        let warmer = warmer.register("odd ones", || async { Err::<(), _>("none") });
        let of = cache.clone();
        let warmer = warmer.loader("flight", move |id| {
            let cache = of.clone();
            async move { Ok::<_, std::num::ParseIntError>(flight(&cache, id.parse()?).await) }
        });
        let looked = served(Admin::new("flights", &cache).warmer(&warmer)).await;
        let refused = at_page(&looked, &["warm"]).await;
        assert_eq!((refused.code, refused.out.as_str()), (4, ""), "{refused:?}");
        let url = served(Admin::new("flights", &cache).warmer(&warmer).allow_actions()).await;
        flight(&cache, 4).await;
        cache.clear().await.unwrap();
        let warmed = at_page(&url, &["warm", "even ones", "--json"]).await.json();
        assert_eq!((&warmed["ended"], &warmed["failed"]), (&json!(true), &json!(0)), "{warmed}");
        assert_eq!(cache.peek(flight::key(&4)).await.unwrap(), Some(4));
        let failed = at_page(&url, &["warm", "odd ones"]).await;
        assert_eq!(failed.code, 1, "{failed:?}");
        assert!(failed.err.contains("warning: odd ones") && failed.out.contains("1 failed"), "{failed:?}");
        let unknown = at_page(&url, &["warm", "no such"]).await;
        assert_eq!(unknown.code, 2, "{unknown:?}");
    }

    async fn an_admin_page_that_is_not_there_or_not_named_is_said(store: TestStore) {
        let cache = store.cache().await;
        let url = served(Admin::new("flights", &cache)).await;
        for command in ["top", "watch", "warm"] {
            assert_eq!(run(crate::program::command(&[command])).await.code, 2, "{command}: no page is named");
            assert_eq!(at_page("http://127.0.0.1:1", &[command]).await.code, 3, "{command}: nobody listens");
            assert_eq!(at_page(&format!("{url}/nowhere"), &[command]).await.code, 2, "{command}: no such page");
            let said = at_page("http://u:hunter2planted@127.0.0.1:1", &[command]).await;
            assert!(!said.err.contains("hunter2") && !said.out.contains("hunter2"), "{said:?}");
        }
        assert_eq!(at_page(&url, &["top", "--cache", "none"]).await.code, 2);
    }
}

/// What the page answers to a request with this `Host`.
async fn asked(port: u16, path: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn serve_shows_a_server_on_this_machine_alone() {
    let server = Server::start(cache_tests::ServerKind::Redis);
    let cache = ready(Cache::builder().url(server.url()).namespace("shop")).await;
    cache.put("flight:1", &1).await.unwrap();
    let mut serving = command(&["serve", "--port", "0", "--json"]);
    let mut child = serving.env("CACHE_URL", server.url()).env("CACHE_NAMESPACE", "shop").spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    let url = told["url"].as_str().unwrap().to_owned();
    let port: u16 = url.rsplit(':').next().unwrap().split('/').next().unwrap().parse().unwrap();
    let here = format!("127.0.0.1:{port}");
    assert!(asked(port, "/cache/page", &here).await.starts_with("HTTP/1.1 200"));
    assert!(asked(port, "/cache/api/keys?text=fl", &here).await.contains("\"flight:1\""));
    let foreign = asked(port, "/cache/api/keys?text=fl", "evil.example").await;
    assert!(foreign.starts_with("HTTP/1.1 421") && !foreign.contains("flight:1"), "{foreign}");
    // The program is a client of its own page.
    let refused = at_page(&url, &["warm", "--key", "flight:1"]).await;
    assert_eq!(refused.code, 4, "{refused:?}");
    let taken = command(&["serve", "--port", &port.to_string()]);
    let said = {
        let mut taken = taken;
        taken.env("CACHE_URL", server.url());
        run(taken).await
    };
    assert_eq!(said.code, 2, "{said:?}");
    let said = interrupt(child).await;
    assert_eq!((said.code, said.err.as_str()), (130, ""), "{said:?}");
}
