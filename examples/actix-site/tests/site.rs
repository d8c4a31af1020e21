//! The site over HTTP, on every store.

use actix_site::routes;
use actix_web::{App, HttpServer};
use articles::{Articles, hold};
use cache_tests::{TestStore, each_store};

each_store! {
    async fn a_page_is_kept_says_what_it_was_made_from_and_falls_with_that(store: TestStore) {
        let articles = Articles::new(store.cache().await);
        let served = articles.clone();
        let server = HttpServer::new(move || App::new().configure(|config| routes(&served, config)))
            .workers(1)
            .disable_signals()
            .bind(("127.0.0.1", 0))
            .unwrap();
        let port = server.addrs()[0].port();
        let server = server.run();
        let handle = server.handle();
        let server = tokio::spawn(server);
        hold(port, "actix-site", &articles, async || ()).await;
        handle.stop(true).await;
        server.await.unwrap().unwrap();
    }
}
