//! Serves the site on port 3000.

use actix_site::routes;
use actix_web::{App, HttpServer};
use articles::Articles;
use cache_core::Cache;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("CACHE_URL").unwrap_or_else(|_| "memory://".to_owned());
    let articles = Articles::new(Cache::builder().url(url).namespace("actix-site").build()?);
    HttpServer::new(move || App::new().configure(|config| routes(&articles, config)))
        .bind(("127.0.0.1", 3000))?
        .run()
        .await?;
    Ok(())
}
