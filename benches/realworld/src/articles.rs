//! Articles, the lists that they are on, and who likes them.

use std::collections::HashMap;

#[cfg(feature = "cached")]
use cache_core::{Tag, cached, invalidates, tag};
use serde::{Deserialize, Serialize};
use sqlx::{Error, FromRow};

use crate::app::App;
use crate::users::followed;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromRow)]
pub struct Article {
    pub id: i64,
    pub author: i64,
    pub slug: String,
    pub title: String,
    pub description: String,
    pub body: String,
    pub tags: Vec<String>,
    pub created_at: String,
    pub updated_at: String,
    pub favorites: i64,
}

/// The slugs of one page of a list, the newest first, and how many articles the whole list has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromRow)]
pub struct Page {
    pub slugs: Vec<String>,
    pub total: i64,
}

/// A page, and the authors that its list is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feed {
    pub page: Page,
    pub authors: Vec<i64>,
}

/// Which part of a list.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Window {
    pub limit: i64,
    pub offset: i64,
}

impl Default for Window {
    fn default() -> Self {
        Self { limit: 20, offset: 0 }
    }
}

/// What an article says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Text {
    pub title: String,
    pub description: String,
    pub body: String,
    #[serde(default)]
    pub tag_list: Vec<String>,
}

/// Where an article was listed.
#[cfg_attr(not(feature = "cached"), expect(dead_code, reason = "the lists are not to be invalidated"))]
#[derive(Clone, Debug, FromRow)]
pub struct Listed {
    pub slug: String,
    pub author: i64,
    pub tags: Vec<String>,
    /// Whose list of favourites it was on.
    pub readers: Vec<i64>,
}

#[cfg_attr(feature = "cached", cached(prefix = "article", ttl = "10m", context = app))]
pub async fn article(app: &App, slug: &str) -> Result<Option<Article>, Error> {
    sqlx::query_as("select * from shown_articles where slug = $1").bind(slug).fetch_optional(&app.db).await
}

#[cfg_attr(feature = "cached", cached(prefix = "article", ttl = "10m", each = slugs, context = app))]
pub async fn articles(app: &App, slugs: &[String]) -> Result<HashMap<String, Article>, Error> {
    let articles = sqlx::query_as("select * from shown_articles where slug = any($1)").bind(slugs);
    let articles: Vec<Article> = articles.fetch_all(&app.db).await?;
    Ok(articles.into_iter().map(|article| (article.slug.clone(), article)).collect())
}

#[cfg_attr(feature = "cached", cached(prefix = "latest", ttl = "10m", tags = ["latest"], context = app))]
pub async fn latest(app: &App, window: Window) -> Result<Page, Error> {
    let page = sqlx::query_as(
        "select (select count(*) from articles) total, \
         array(select slug from articles order by id desc limit $1 offset $2) slugs",
    );
    page.bind(window.limit).bind(window.offset).fetch_one(&app.db).await
}

#[cfg_attr(feature = "cached", cached(prefix = "by-author", ttl = "10m", tags = ["author:{author}"], context = app))]
pub async fn by_author(app: &App, author: i64, window: Window) -> Result<Page, Error> {
    let page = sqlx::query_as(
        "select (select count(*) from articles where author = $3) total, \
         array(select slug from articles where author = $3 order by id desc limit $1 offset $2) slugs",
    );
    page.bind(window.limit).bind(window.offset).bind(author).fetch_one(&app.db).await
}

#[cfg_attr(feature = "cached", cached(prefix = "with-tag", ttl = "10m", tags = ["tag:{tag}"], context = app))]
pub async fn with_tag(app: &App, tag: &str, window: Window) -> Result<Page, Error> {
    let page = sqlx::query_as(
        "select (select count(*) from articles where tags @> array[$3]) total, \
         array(select slug from articles where tags @> array[$3] order by id desc limit $1 offset $2) slugs",
    );
    page.bind(window.limit).bind(window.offset).bind(tag).fetch_one(&app.db).await
}

#[cfg_attr(feature = "cached", cached(prefix = "liked-by", ttl = "10m", tags = ["favorites:{reader}"], context = app))]
pub async fn favorites_of(app: &App, reader: i64, window: Window) -> Result<Page, Error> {
    let page = sqlx::query_as(
        "select (select count(*) from favorites where reader = $3) total, \
         array(select slug from articles join favorites on article = id where reader = $3 \
         order by id desc limit $1 offset $2) slugs",
    );
    page.bind(window.limit).bind(window.offset).bind(reader).fetch_one(&app.db).await
}

/// What those wrote whom a reader follows. It depends on `followed`, which it calls.
#[cfg_attr(feature = "cached", cached(prefix = "feed", ttl = "10m", tags = [..author_tags(&result.authors)], context = app))]
pub async fn feed(app: &App, reader: i64, window: Window) -> Result<Feed, Error> {
    let authors = followed(app, reader).await?;
    let page = sqlx::query_as(
        "select (select count(*) from articles where author = any($3)) total, \
         array(select slug from articles where author = any($3) order by id desc limit $1 offset $2) slugs",
    );
    let page = page.bind(window.limit).bind(window.offset).bind(&authors).fetch_one(&app.db).await?;
    Ok(Feed { page, authors })
}

#[cfg_attr(feature = "cached", cached(prefix = "popular-tags", ttl = "10m", tags = ["latest"], context = app))]
pub async fn popular_tags(app: &App) -> Result<Vec<String>, Error> {
    let tags = "select tag from articles, unnest(tags) tag group by tag order by count(*) desc, tag limit 20";
    sqlx::query_scalar(tags).fetch_all(&app.db).await
}

#[cfg_attr(feature = "cached", cached(prefix = "favorites", ttl = "10m", tags = ["favorites:{reader}"], context = app))]
pub async fn favorites(app: &App, reader: i64) -> Result<Vec<i64>, Error> {
    let favorites = sqlx::query_scalar("select article from favorites where reader = $1 order by article");
    favorites.bind(reader).fetch_all(&app.db).await
}

#[cfg_attr(feature = "cached", invalidates(context = app, keys = [article(slug)], tags = ["favorites:{reader}"]))]
pub async fn favor(app: &App, reader: i64, slug: &str) -> Result<bool, Error> {
    let insert = "insert into favorites select id, $1 from articles where slug = $2 on conflict do nothing";
    let done = sqlx::query(insert).bind(reader).bind(slug).execute(&app.db).await?;
    Ok(done.rows_affected() > 0)
}

#[cfg_attr(feature = "cached", invalidates(context = app, keys = [article(slug)], tags = ["favorites:{reader}"]))]
pub async fn disfavor(app: &App, reader: i64, slug: &str) -> Result<bool, Error> {
    let delete = "delete from favorites using articles where article = id and reader = $1 and slug = $2";
    let done = sqlx::query(delete).bind(reader).bind(slug).execute(&app.db).await?;
    Ok(done.rows_affected() > 0)
}

#[cfg_attr(
    feature = "cached",
    invalidates(context = app, tags = ["latest", "author:{author}", ..topic_tags(&result.tags)])
)]
pub async fn publish(app: &App, author: i64, slug: &str, text: &Text) -> Result<Listed, Error> {
    let insert = sqlx::query_as(
        "insert into articles (author, slug, title, description, body, tags) values ($1, $2, $3, $4, $5, $6) \
         returning slug, author, tags, '{}'::bigint[] readers",
    );
    let insert = insert.bind(author).bind(slug).bind(&text.title).bind(&text.description).bind(&text.body);
    insert.bind(&text.tag_list).fetch_one(&app.db).await
}

/// On all its lists it stays where it was.
#[cfg_attr(feature = "cached", invalidates(context = app, keys = [article(slug)]))]
pub async fn edit(app: &App, slug: &str, description: Option<&str>, body: Option<&str>) -> Result<(), Error> {
    let update = sqlx::query(
        "update articles set description = coalesce($2, description), body = coalesce($3, body), updated_at = now() \
         where slug = $1",
    );
    update.bind(slug).bind(description).bind(body).execute(&app.db).await.map(drop)
}

/// A new title is a new slug, so every list changes that it is on.
#[cfg_attr(
    feature = "cached",
    invalidates(
        context = app, keys = [article(slug)],
        tags = ["latest", "author:{result.author}", ..topic_tags(&result.tags), ..reader_tags(&result.readers)]
    )
)]
pub async fn rename(app: &App, slug: &str, title: &str, new_slug: &str) -> Result<Listed, Error> {
    let update = sqlx::query_as(
        "update articles set title = $2, slug = $3, updated_at = now() where slug = $1 \
         returning slug, author, tags, array(select reader from favorites where article = articles.id) readers",
    );
    update.bind(slug).bind(title).bind(new_slug).fetch_one(&app.db).await
}

#[cfg_attr(
    feature = "cached",
    invalidates(
        context = app, keys = [article(slug)],
        tags = ["latest", "author:{result.author}", ..topic_tags(&result.tags), ..reader_tags(&result.readers)]
    )
)]
pub async fn withdraw(app: &App, slug: &str) -> Result<Listed, Error> {
    let delete = sqlx::query_as(
        "with gone as (select id, array(select reader from favorites where article = articles.id) readers \
         from articles where slug = $1) \
         delete from articles using gone where articles.id = gone.id returning slug, author, tags, readers",
    );
    delete.bind(slug).fetch_one(&app.db).await
}

#[cfg(feature = "cached")]
fn author_tags(authors: &[i64]) -> Vec<Tag> {
    authors.iter().map(|author| tag!("author:{author}")).collect()
}

#[cfg(feature = "cached")]
fn topic_tags(topics: &[String]) -> Vec<Tag> {
    topics.iter().map(|topic| tag!("tag:{topic}")).collect()
}

#[cfg(feature = "cached")]
fn reader_tags(readers: &[i64]) -> Vec<Tag> {
    readers.iter().map(|reader| tag!("favorites:{reader}")).collect()
}
