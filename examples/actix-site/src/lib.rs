//! A site on actix-web. Its pages are made by cached functions, kept whole, and say in headers what
//! they were made from.

mod bridge;

use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpResponse, Responder};
use articles::{Articles, set_article};
use bridge::{cache_headers, response_cache};
use cache_http::{CacheHeaders, Cdn, CdnDialect, ResponseCache};

/// The routes, for each worker. What counts last is outermost: the headers say what the stored
/// response was made from.
pub fn routes(articles: &Articles, config: &mut ServiceConfig) {
    let (cache, cdn) = (articles.cache(), Cdn::new("actix-site", CdnDialect::Surrogate));
    config
        .app_data(Data::new(articles.clone()))
        .app_data(Data::new(CacheHeaders::new(cache).name("actix-site").cdn(&cdn)))
        .app_data(Data::new(ResponseCache::new(cache, "page", Duration::from_secs(60))))
        .service(
            web::resource("/articles/{id}")
                .route(web::get().to(read))
                .route(web::put().to(write))
                .wrap(from_fn(response_cache))
                .wrap(from_fn(cache_headers)),
        );
}

async fn read(articles: Data<Articles>, id: Path<u64>) -> impl Responder {
    match articles.page(*id).await {
        Some(page) => HttpResponse::Ok().content_type("text/html").body(page),
        None => HttpResponse::NotFound().finish(),
    }
}

async fn write(articles: Data<Articles>, id: Path<u64>, text: String) -> impl Responder {
    set_article(&articles, *id, text).await;
    HttpResponse::NoContent()
}
