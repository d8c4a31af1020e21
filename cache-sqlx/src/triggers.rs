//! Triggers that write into the outbox what a change of a row makes untrue, whoever makes it.

mod catalog;
pub(crate) mod ddl;
mod declaration;

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use self::catalog::Found;
use self::declaration::Table;
use crate::dialect::postgres::lock_schema;
use crate::error::Error;

/// What is declared of tables of PostgreSQL, so that every `INSERT`, `UPDATE` (old and new row),
/// `DELETE` and `TRUNCATE` writes into the outbox what it makes untrue, in the writer's own
/// transaction: also an `UPDATE` typed in psql, or one of a service in another language. An
/// [`Outbox::listen`](crate::Outbox::listen) in each process applies it.
///
/// # Declaration
/// ```text
/// table flights: key flight:{id}, tag airport:{origin}, airport:{destination}
/// table app.delays: key delay:{flight_id}
/// ```
/// Any number of tables, each with keys and tags of its rows. `{…}` is a column. Names of tables
/// and columns are as in the catalog: `Flights` is not `flights`. A brace that is text is `{{` or
/// `}}`.
///
/// # Spelling
/// Values are escaped as `#[cached]` escapes them. Columns may be of type smallint, integer,
/// bigint, text, varchar, boolean, uuid, or a domain of one of them; any other type is an error,
/// for nobody knows how the Rust type of the parameter spells it.
/// - In a key, a column that may be NULL stands for the value and for an `Option` of it: `42`,
///   `+42` and, if NULL, `!`. For an `Option` of a column that is NOT NULL write `+{column}`.
/// - In a key, text that reads like a number stands for a `String` and for a type around one.
/// - A tag with a NULL in it is no tag.
/// - A key with a parameter that is no scalar ends in a digest, which SQL cannot make: use a tag.
///
/// # Limits
/// [`INTENT_NAMES_MAX`](crate::limits::INTENT_NAMES_MAX) names in a row of the outbox: a statement
/// that changes more writes more rows. A name longer than
/// [`NAME_BYTES_MAX`](crate::limits::NAME_BYTES_MAX), and `TRUNCATE`, invalidate everything.
/// Only ordinary tables: on partitioned tables and those that inherit, a change of one part would
/// not be seen. Triggers do not fire where `session_replication_role` is `replica`, such as on a
/// subscriber of logical replication.
///
/// After a change of a declared column's type or name, [`replace`](Self::replace) the triggers:
/// until then a renamed column makes writes of its table fail.
///
/// # Cost
/// One `INSERT` for each statement that changes something, and a `NOTIFY`, which PostgreSQL orders
/// with those of other transactions when they commit.
#[derive(Debug)]
pub struct Triggers {
    tables: Vec<Table>,
}

impl Triggers {
    /// Reads a declaration.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) with all mistakes, one a line.
    pub fn declare(declaration: &str) -> Result<Self, Error> {
        Ok(Self { tables: declaration::parse(declaration)? })
    }

    /// Makes the triggers, all or none. The outbox must be there.
    ///
    /// # Errors
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse): a table or a column that is not there, a
    /// column of another type, triggers that are there already. Else those of the database; the
    /// user must own the tables.
    pub async fn install(&self, pool: &PgPool) -> Result<(), Error> {
        let mut tx = pool.begin().await?;
        lock_schema(&mut tx).await?;
        let (schema, found) = self.find(&mut tx).await?;
        let present = self.tables.iter().zip(&found).filter(|(_, found)| found.has_triggers);
        let present: Vec<String> = present.map(|(table, _)| format!("`{}`", table.declared())).collect();
        if !present.is_empty() {
            let message =
                format!("{} has triggers of the outbox already: use `replace`, or `remove` first", present.join(", "));
            return Err(Error::misuse(message));
        }
        run(&mut tx, self.creation(&schema, &found)).await?;
        Ok(tx.commit().await?)
    }

    /// Makes the triggers, in place of those that are there: for a program that does so at each
    /// start, and after a change of the declaration. Writers of the tables wait meanwhile.
    ///
    /// # Errors
    /// As for [`install`](Self::install).
    pub async fn replace(&self, pool: &PgPool) -> Result<(), Error> {
        let mut tx = pool.begin().await?;
        lock_schema(&mut tx).await?;
        let (schema, found) = self.find(&mut tx).await?;
        run(&mut tx, removal(&schema, &found)).await?;
        run(&mut tx, self.creation(&schema, &found)).await?;
        Ok(tx.commit().await?)
    }

    /// Removes the triggers of the declared tables. It is no error if they are not there.
    ///
    /// # Errors
    /// As for [`install`](Self::install).
    pub async fn remove(&self, pool: &PgPool) -> Result<(), Error> {
        let mut tx = pool.begin().await?;
        lock_schema(&mut tx).await?;
        let (schema, found) = self.find(&mut tx).await?;
        run(&mut tx, removal(&schema, &found)).await?;
        Ok(tx.commit().await?)
    }

    /// What [`replace`](Self::replace) would run: for those who run migrations with a tool of their
    /// own.
    ///
    /// # Errors
    /// As for [`install`](Self::install).
    pub async fn to_sql(&self, pool: &PgPool) -> Result<String, Error> {
        let (schema, found) = self.find(&mut *pool.acquire().await?).await?;
        Ok(removal(&schema, &found) + &self.creation(&schema, &found))
    }

    async fn find(&self, connection: &mut PgConnection) -> Result<(String, Vec<Found>), Error> {
        let schema = catalog::outbox_schema(connection).await?;
        let (mut found, mut mistakes) = (Vec::new(), Vec::new());
        for table in &self.tables {
            match catalog::find(connection, table).await {
                Ok(table) => found.push(table),
                Err(error) if error.as_database().is_some() => return Err(error),
                Err(error) => mistakes.push(error.to_string()),
            }
        }
        if mistakes.is_empty() { Ok((schema, found)) } else { Err(Error::misuse(mistakes.join("\n"))) }
    }

    fn creation(&self, schema: &str, found: &[Found]) -> String {
        let tables = self.tables.iter().zip(found).map(|(table, found)| ddl::create(schema, table, found));
        [ddl::shared(schema)].into_iter().chain(tables).collect()
    }
}

fn removal(schema: &str, found: &[Found]) -> String {
    found.iter().map(|found| ddl::drop(schema, found)).collect()
}

async fn run(connection: &mut PgConnection, sql: String) -> Result<(), Error> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
