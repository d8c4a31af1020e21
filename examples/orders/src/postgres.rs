//! The shop on PostgreSQL: other programs may change the tables as well.

use cache_core::Cache;
use cache_sqlx::{Error, Outbox, Triggers};

use crate::schema;

pub(crate) type Db = sqlx::Postgres;

#[path = "held.rs"]
pub(crate) mod held;
#[path = "shop.rs"]
pub(crate) mod shop;

/// What a change of each table makes untrue, whoever makes it.
const TRIGGERS: &str = "
    table products: key product:{id}
    table stock: key product:{product}
    table orders: tag customer:{customer}";

/// Makes the tables, the outbox and the triggers.
pub(crate) async fn prepare(outbox: &Outbox<Db>, pool: &sqlx::PgPool) -> Result<(), Error> {
    schema::make(pool, "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY").await?;
    outbox.migrate().await?;
    Triggers::declare(TRIGGERS)?.replace(pool).await
}

/// Applies what is in the outbox, for ever.
pub(crate) async fn follow(outbox: Outbox<Db>, cache: Cache) {
    outbox.listen(&cache).await;
}
