//! What a site must answer, over the wire.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Articles;

/// What a server of this machine answers to a request such as `GET /articles/7`.
///
/// # Panics
/// If it does not answer.
pub async fn ask(port: u16, request: &str, headers: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a server");
    let length = body.len();
    let request = format!(
        "{request} HTTP/1.1\r\nHost: site.example\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await.expect("a server that reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// A header of an answer.
pub fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Asks a site for all that it promises: a page is made once, and then served as it is kept; it
/// says what it was made from, and falls with that; who has it is told so.
///
/// After a write it waits for `written`: while a purger looks, what is made may be marked as not to
/// be kept.
///
/// # Panics
/// If the site does not keep what it promises.
pub async fn hold(port: u16, site: &str, articles: &Articles, written: impl AsyncFn()) {
    ask(port, "PUT /articles/7", "", "old").await;
    written().await;
    let (made, kept) = (ask(port, "GET /articles/7", "", "").await, ask(port, "GET /articles/7", "", "").await);
    for page in [&made, &kept] {
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.ends_with("\r\n\r\n<p>old</p>"), "{page}");
        assert!(header(page, "content-type").is_some_and(|kind| kind.starts_with("text/html")), "{page}");
        assert_eq!(header(page, "content-length"), Some("10"));
        let keys = header(page, "surrogate-key").expect("keys");
        assert!(keys.contains(&format!("{site}/k:article:7")), "{page}");
    }
    assert_eq!(articles.pages_made(), 1);
    // That of the page and that of the article in it.
    assert_eq!(header(&made, "cache-status"), Some(&*format!("{site}; fwd=miss; detail=\"miss=2\"")));
    assert_eq!(header(&kept, "cache-status"), Some(&*format!("{site}; hit")));

    let tag = format!("If-None-Match: {}\r\n", header(&kept, "etag").expect("a tag"));
    let same = ask(port, "GET /articles/7", &tag, "").await;
    assert!(same.starts_with("HTTP/1.1 304 Not Modified\r\n") && same.ends_with("\r\n\r\n"), "{same}");

    ask(port, "PUT /articles/7", "", "new").await;
    written().await;
    let next = ask(port, "GET /articles/7", &tag, "").await;
    assert!(next.ends_with("\r\n\r\n<p>new</p>"), "{next}");
    assert!(ask(port, "GET /articles/8", "", "").await.starts_with("HTTP/1.1 404 Not Found\r\n"));
}
