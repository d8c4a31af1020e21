//! Another process of the application, driven line by line: what a test says on stdin it does, one after the other.
//!
//! | line | answers |
//! |---|---|
//! | `item GROUP ID` | `loading` if it has to load, and takes the next line as what it read; then `= VALUE` |
//! | `page GROUP ID` | the same for an entry whose load calls `item GROUP ID` and adds nothing to it |
//! | `key KEY`, `tag TAG`, `pattern GLOB`, `clear` | `removed ENTRIES` |
//!
//! Arguments: a URL and a namespace. It ends when stdin does.

use std::time::Duration;

use cache_core::{Cache, Invalidated, cached};
use tokio::io::{AsyncBufReadExt, BufReader, Lines, Stdin, stdin};
use tokio::sync::Mutex;

const PATIENCE: Duration = Duration::from_secs(10);

struct Console {
    lines: Mutex<Lines<BufReader<Stdin>>>,
}

impl Console {
    async fn line(&self) -> Option<String> {
        self.lines.lock().await.next_line().await.expect("stdin is text")
    }
}

#[cached(prefix = "item", ttl = "1h", skip(cache, console), cache = cache, tags = ["group:{group}"])]
async fn item(cache: &Cache, console: &Console, group: &str, id: &str) -> String {
    println!("loading");
    console.line().await.expect("the test says what was read")
}

#[cached(prefix = "page", ttl = "1h", skip(cache, console), cache = cache)]
async fn page(cache: &Cache, console: &Console, group: &str, id: &str) -> String {
    item(cache, console, group, id).await
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let (url, namespace) = (arguments.next().expect("a URL"), arguments.next().expect("a namespace"));
    let builder = Cache::builder().url(url).namespace(namespace).operation_deadline(PATIENCE).jitter(0.0);
    let cache = builder.build().expect("valid settings");
    cache.ready(PATIENCE).await.expect("a store that answers");
    let console = Console { lines: Mutex::new(BufReader::new(stdin()).lines()) };
    println!("ready");
    while let Some(line) = console.line().await {
        let words: Vec<&str> = line.split(' ').collect();
        let removed: Result<Invalidated, _> = match words[..] {
            ["item", group, id] => {
                println!("= {}", item(&cache, &console, group, id).await);
                continue;
            }
            ["page", group, id] => {
                println!("= {}", page(&cache, &console, group, id).await);
                continue;
            }
            ["key", key] => cache.invalidate_key(key).await,
            ["tag", tag] => cache.invalidate_tag(tag).await,
            ["pattern", pattern] => cache.invalidate_pattern(pattern).await,
            ["clear"] => cache.clear().await,
            _ => panic!("not understood: {line}"),
        };
        println!("removed {}", removed.expect("the store answers").entries);
    }
}
