//! The site over HTTP, on every store.

use actix_site::Site;
use actix_web::{App, HttpServer};
use cache_tests::{TestStore, each_store};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What a server of this machine answers, as it comes over the wire.
async fn ask(port: u16, request: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let length = body.len();
    let request = format!(
        "{request} HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

each_store! {
    async fn a_page_is_kept_says_what_it_was_made_from_and_falls_with_that(store: TestStore) {
        let site = Site::new(store.cache().await);
        let served = site.clone();
        let server = HttpServer::new(move || App::new().configure(|config| served.routes(config)))
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let port = server.addrs()[0].port();
        let server = server.run();
        let handle = server.handle();
        let server = tokio::spawn(server);

        ask(port, "PUT /articles/7", "", "old").await;
        let (made, kept) = (ask(port, "GET /articles/7", "", "").await, ask(port, "GET /articles/7", "", "").await);
        for page in [&made, &kept] {
            assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\n<p>old</p>"), "{page}");
            assert_eq!(header(page, "content-type"), Some("text/html"));
            assert_eq!(header(page, "content-length"), Some("10"));
            assert!(header(page, "surrogate-key").unwrap().contains("actix-site/k:article:7"), "{page}");
        }
        assert_eq!(site.pages_made(), 1);
        assert_eq!(header(&kept, "cache-status"), Some("actix-site; hit"));

        let tag = format!("If-None-Match: {}\r\n", header(&kept, "etag").unwrap());
        let same = ask(port, "GET /articles/7", &tag, "").await;
        assert!(same.starts_with("HTTP/1.1 304 Not Modified\r\n") && same.ends_with("\r\n\r\n"), "{same}");

        ask(port, "PUT /articles/7", "", "new").await;
        let next = ask(port, "GET /articles/7", &tag, "").await;
        assert!(next.ends_with("\r\n\r\n<p>new</p>"), "{next}");
        assert!(ask(port, "GET /articles/8", "", "").await.starts_with("HTTP/1.1 404 Not Found\r\n"));
        handle.stop(true).await;
        server.await.unwrap().unwrap();
    }
}
