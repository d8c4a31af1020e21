//! Users, and who follows whom.

use std::collections::HashMap;

#[cfg(feature = "cached")]
use cache_core::{cached, invalidates};
use serde::{Deserialize, Serialize};
use sqlx::{Error, FromRow};

use crate::app::App;

/// What everybody may see of a user.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, FromRow)]
pub struct User {
    pub id: i64,
    pub username: String,
    pub bio: String,
    pub image: Option<String>,
}

/// What a user sees of herself.
#[derive(Clone, Debug, FromRow)]
pub struct Account {
    pub id: i64,
    pub username: String,
    pub email: String,
    pub bio: String,
    pub image: Option<String>,
    pub salt: Vec<u8>,
    pub password: Vec<u8>,
}

/// What an update changes; `None` leaves it as it is.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Changes {
    pub username: Option<String>,
    pub email: Option<String>,
    pub bio: Option<String>,
    pub image: Option<String>,
}

#[cfg_attr(feature = "cached", cached(prefix = "user", ttl = "10m", each = ids, context = app))]
pub async fn users(app: &App, ids: &[i64]) -> Result<HashMap<i64, User>, Error> {
    let users = sqlx::query_as("select id, username, bio, image from users where id = any($1)").bind(ids);
    let users: Vec<User> = users.fetch_all(&app.db).await?;
    Ok(users.into_iter().map(|user| (user.id, user)).collect())
}

#[cfg_attr(feature = "cached", cached(prefix = "user-id", ttl = "10m", context = app))]
pub async fn user_id(app: &App, username: &str) -> Result<Option<i64>, Error> {
    sqlx::query_scalar("select id from users where username = $1").bind(username).fetch_optional(&app.db).await
}

#[cfg_attr(feature = "cached", cached(prefix = "followed", ttl = "10m", context = app))]
pub async fn followed(app: &App, user: i64) -> Result<Vec<i64>, Error> {
    let followed = sqlx::query_scalar("select followed from follows where follower = $1 order by followed");
    followed.bind(user).fetch_all(&app.db).await
}

#[cfg_attr(feature = "cached", invalidates(context = app, keys = [followed(user)]))]
pub async fn follow(app: &App, user: i64, other: i64) -> Result<(), Error> {
    let insert = sqlx::query("insert into follows values ($1, $2) on conflict do nothing");
    insert.bind(user).bind(other).execute(&app.db).await.map(drop)
}

#[cfg_attr(feature = "cached", invalidates(context = app, keys = [followed(user)]))]
pub async fn unfollow(app: &App, user: i64, other: i64) -> Result<(), Error> {
    let delete = sqlx::query("delete from follows where follower = $1 and followed = $2");
    delete.bind(user).bind(other).execute(&app.db).await.map(drop)
}

/// The names before and after: `user_id` of either may be known.
#[cfg_attr(
    feature = "cached",
    invalidates(context = app, keys = [users(user), user_id(&before), user_id(&result.username)])
)]
pub async fn change(app: &App, user: i64, before: String, changes: &Changes) -> Result<Account, Error> {
    let _ = before;
    let update = sqlx::query_as(
        "update users set username = coalesce($2, username), email = coalesce($3, email), bio = coalesce($4, bio), \
         image = coalesce($5, image) where id = $1 returning *",
    );
    let update = update.bind(user).bind(&changes.username).bind(&changes.email).bind(&changes.bio).bind(&changes.image);
    update.fetch_one(&app.db).await
}

pub async fn account(app: &App, user: i64) -> Result<Option<Account>, Error> {
    sqlx::query_as("select * from users where id = $1").bind(user).fetch_optional(&app.db).await
}

pub async fn account_by_email(app: &App, email: &str) -> Result<Option<Account>, Error> {
    sqlx::query_as("select * from users where email = $1").bind(email).fetch_optional(&app.db).await
}

pub async fn register(app: &App, username: &str, email: &str, salt: &[u8], password: &[u8]) -> Result<Account, Error> {
    let insert =
        sqlx::query_as("insert into users (username, email, salt, password) values ($1, $2, $3, $4) returning *");
    insert.bind(username).bind(email).bind(salt).bind(password).fetch_one(&app.db).await
}
