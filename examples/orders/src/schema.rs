//! The tables of the shop.

use sqlx::{AssertSqlSafe, Executor, Pool};

/// `@id` is how the database numbers rows.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS products (id BIGINT PRIMARY KEY, name TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS stock (
        product BIGINT PRIMARY KEY REFERENCES products (id), units BIGINT NOT NULL CHECK (units >= 0));
    CREATE TABLE IF NOT EXISTS orders (
        id @id, customer TEXT NOT NULL, product BIGINT NOT NULL REFERENCES products (id), units BIGINT NOT NULL);
    INSERT INTO products VALUES (1, 'chair'), (2, 'table'), (3, 'sample of cloth') ON CONFLICT DO NOTHING;
    INSERT INTO stock VALUES (1, 10), (2, 5), (3, 1) ON CONFLICT DO NOTHING;";

/// Makes the tables, with something in stock.
pub(crate) async fn make<DB: sqlx::Database>(pool: &Pool<DB>, id: &str) -> Result<(), sqlx::Error>
where
    for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
{
    let schema = AssertSqlSafe(SCHEMA.replace("@id", id));
    sqlx::raw_sql(schema).execute(&mut *pool.acquire().await?).await?;
    Ok(())
}
