//! The data that the load begins with.

use sqlx::PgPool;

pub const USERS: u64 = 1_000;
pub const ARTICLES: u64 = 5_000;
pub const TOPICS: u64 = 50;

/// Who wrote an article, as the statements below have it.
pub fn author_of(article: u64) -> u64 {
    article * 7_919 % USERS + 1
}

/// Makes the tables anew and fills them.
pub async fn run(db: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("drop schema public cascade; create schema public;").execute(db).await?;
    sqlx::raw_sql(include_str!("schema.sql")).execute(db).await?;
    sqlx::raw_sql(include_str!("seed.sql")).execute(db).await?;
    Ok(())
}
