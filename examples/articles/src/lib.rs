//! What `axum-site` and `actix-site` show: articles, read by a cached function. The sites differ in
//! their framework alone, so what each must answer is asked here too.

mod conversation;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cache_core::{Cache, CacheContext, cached, invalidates};

pub use conversation::{ask, header, hold};

/// What the handlers of a site share.
#[derive(Clone, CacheContext)]
pub struct Articles {
    cache: Cache,
    stored: Arc<Mutex<BTreeMap<u64, String>>>, // imagine a database
    pages: Arc<AtomicU64>,
}

impl Articles {
    /// Without articles.
    pub fn new(cache: Cache) -> Self {
        Self { cache, stored: Arc::default(), pages: Arc::default() }
    }

    /// The cache that the functions use.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// How many pages the handlers have made.
    pub fn pages_made(&self) -> u64 {
        self.pages.load(Ordering::Relaxed)
    }

    /// The page of an article, if there is one.
    pub async fn page(&self, id: u64) -> Option<String> {
        self.pages.fetch_add(1, Ordering::Relaxed);
        let text = get_article(self, id).await?;
        Some(format!("<p>{text}</p>"))
    }
}

/// Reads an article.
#[cached(prefix = "article", ttl = "60s", context = articles)]
pub async fn get_article(articles: &Articles, id: u64) -> Option<String> {
    articles.stored.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
}

/// Writes an article, and invalidates what was made from the old one.
#[invalidates(keys = [get_article(id)], context = articles)]
pub async fn set_article(articles: &Articles, id: u64, text: String) {
    articles.stored.lock().unwrap_or_else(PoisonError::into_inner).insert(id, text);
}
