//! A site on actix-web. Its pages are made by cached functions, kept whole, and say in headers what
//! they were made from.

mod bridge;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use bridge::{cache_headers, response_cache};
use cache_core::{Cache, CacheContext, cached, invalidates};
use cache_http::{CacheHeaders, Cdn, CdnDialect, ResponseCache};

/// What the handlers share.
#[derive(Clone, CacheContext)]
pub struct Site {
    cache: Cache,
    articles: Arc<Mutex<BTreeMap<u64, String>>>, // imagine a database
    pages: Arc<AtomicU64>,
}

impl Site {
    /// Without articles.
    pub fn new(cache: Cache) -> Self {
        Self { cache, articles: Arc::default(), pages: Arc::default() }
    }

    /// How many pages the handlers have made.
    pub fn pages_made(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }

    /// The routes, for each worker. What counts last is outermost: the headers say what the stored
    /// response was made from.
    pub fn routes(&self, config: &mut ServiceConfig) {
        let cdn = Cdn::new("actix-site", CdnDialect::Surrogate);
        config
            .app_data(Data::new(self.clone()))
            .app_data(Data::new(CacheHeaders::new(&self.cache).name("actix-site").cdn(&cdn)))
            .app_data(Data::new(ResponseCache::new(&self.cache, "page", Duration::from_secs(60))))
            .service(
                web::resource("/articles/{id}")
                    .route(web::get().to(read))
                    .route(web::put().to(write))
                    .wrap(from_fn(response_cache))
                    .wrap(from_fn(cache_headers)),
            );
    }
}

#[cached(prefix = "article", ttl = "60s", context = site)]
async fn get_article(site: &Site, id: u64) -> Option<String> {
    site.articles.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
}

#[invalidates(keys = [get_article(id)], context = site)]
async fn set_article(site: &Site, id: u64, text: String) {
    site.articles.lock().unwrap_or_else(PoisonError::into_inner).insert(id, text);
}

async fn read(site: Data<Site>, id: Path<u64>) -> impl Responder {
    site.pages.fetch_add(1, Ordering::Relaxed);
    match get_article(&site, *id).await {
        Some(text) => HttpResponse::Ok().content_type("text/html").body(format!("<p>{text}</p>")),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn write(site: Data<Site>, id: Path<u64>, text: String) -> impl Responder {
    set_article(&site, *id, text).await;
    HttpResponse::NoContent()
}
