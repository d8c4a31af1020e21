//! The site over HTTP, on every store.

use std::sync::{Arc, Mutex};

use articles::{Articles, ask, header, hold};
use axum_site::{cdn, router};
use cache_http::{Purge, PurgeError, Purger};
use cache_tests::{TestStore, each_store};
use tokio::net::TcpListener;

/// A CDN that notes what it is purged of.
#[derive(Clone, Default)]
struct NotedPurge(Arc<Mutex<Vec<String>>>);

impl Purge for NotedPurge {
    async fn purge(&self, keys: &[String]) -> Result<(), PurgeError> {
        self.0.lock().unwrap().extend_from_slice(keys);
        Ok(())
    }
}

impl NotedPurge {
    /// All since this was asked last.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// Serves the site, and returns its port.
async fn serve(articles: &Articles, purger: &Purger) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = router(articles.clone(), purger);
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

each_store! {
    async fn a_page_is_kept_says_what_it_was_made_from_and_falls_with_that(store: TestStore) {
        let articles = Articles::new(store.cache().await);
        let purger = Purger::start(articles.cache(), &cdn(), NotedPurge::default());
        let purged = async || assert!(purger.purged().await);
        hold(serve(&articles, &purger).await, "axum-site", &articles, purged).await;
    }

    /// By a key that the page was served with, once the purger says that it is done.
    async fn a_page_is_purged_when_its_article_changes(store: TestStore) {
        let articles = Articles::new(store.cache().await);
        let purge = NotedPurge::default();
        let purger = Purger::start(articles.cache(), &cdn(), purge.clone());
        let port = serve(&articles, &purger).await;
        ask(port, "PUT /articles/7", "", "old").await;
        assert!(purger.purged().await);
        let page = ask(port, "GET /articles/7", "", "").await;
        let keys: Vec<&str> = header(&page, "surrogate-key").unwrap().split(' ').collect();
        purge.take();

        ask(port, "PUT /articles/7", "", "new").await;
        assert!(purger.purged().await);
        let purged = purge.take();
        assert!(purged.iter().any(|key| key == "axum-site/k:article:7" && keys.contains(&key.as_str())), "{purged:?}");
        assert!(!purged.iter().any(|key| key == "axum-site/all"), "nothing else falls: {purged:?}");
    }
}
