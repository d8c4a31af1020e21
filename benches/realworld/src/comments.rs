//! Comments on articles.

#[cfg(feature = "cached")]
use cache_core::{cached, invalidates};
use serde::{Deserialize, Serialize};
use sqlx::{Error, FromRow};

use crate::app::App;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromRow)]
pub struct Comment {
    pub id: i64,
    pub author: i64,
    pub body: String,
    pub created_at: String,
}

#[cfg_attr(feature = "cached", cached(prefix = "comments", ttl = "10m", context = app))]
pub async fn comments(app: &App, article: i64) -> Result<Vec<Comment>, Error> {
    let comments = sqlx::query_as(
        "select id, author, body, to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') created_at \
         from comments where article = $1 order by id",
    );
    comments.bind(article).fetch_all(&app.db).await
}

#[cfg_attr(feature = "cached", invalidates(context = app, keys = [comments(article)]))]
pub async fn comment(app: &App, article: i64, author: i64, body: &str) -> Result<Comment, Error> {
    let insert = sqlx::query_as(
        "insert into comments (article, author, body) values ($1, $2, $3) \
         returning id, author, body, to_char(created_at at time zone 'utc', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') created_at",
    );
    insert.bind(article).bind(author).bind(body).fetch_one(&app.db).await
}

/// False: there is no such comment of this author.
#[cfg_attr(feature = "cached", invalidates(context = app, keys = [comments(article)]))]
pub async fn delete_comment(app: &App, article: i64, author: i64, id: i64) -> Result<bool, Error> {
    let delete = sqlx::query("delete from comments where article = $1 and author = $2 and id = $3");
    let done = delete.bind(article).bind(author).bind(id).execute(&app.db).await?;
    Ok(done.rows_affected() > 0)
}
