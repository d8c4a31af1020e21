//! What PostgreSQL knows of the declared tables.

use sqlx::PgConnection;

use super::declaration::{Piece, Table};
use crate::error::Error;

/// The outbox's schema, as an identifier in SQL.
pub(super) async fn outbox_schema(connection: &mut PgConnection) -> Result<String, Error> {
    let schema = "SELECT quote_ident(n.nspname), current_setting('server_encoding') FROM pg_class c \
                  JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('cache_outbox')";
    let found: Option<(String, String)> = sqlx::query_as(schema).fetch_optional(connection).await?;
    match found {
        Some((schema, encoding)) if encoding == "UTF8" => Ok(schema),
        Some((_, encoding)) => {
            Err(Error::misuse(format!("the database's encoding is {encoding}: names are spelled in UTF8 only")))
        }
        None => Err(Error::misuse("there is no table `cache_outbox`: make it with `Outbox::migrate` first")),
    }
}

/// A declared table that is there.
pub(super) struct Found {
    /// With its schema, as in SQL.
    pub(super) identifier: String,
    /// Tells the table's function from those of others, whatever the length of their names.
    pub(super) digest: String,
    pub(super) has_triggers: bool,
    pub(super) columns: Vec<Column>,
}

pub(super) struct Column {
    pub(super) name: String,
    /// As in SQL.
    pub(super) identifier: String,
    pub(super) is_text: bool,
    pub(super) is_nullable: bool,
}

/// Compares a declaration with the table.
pub(super) async fn find(connection: &mut PgConnection, table: &Table) -> Result<Found, Error> {
    let of_table = "SELECT c.oid::bigint, format('%I.%I', n.nspname, c.relname), \
                        md5(format('%I.%I', n.nspname, c.relname)), c.relkind::text, \
                        c.relispartition OR EXISTS (SELECT FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)), \
                        EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname LIKE 'cache\\_outbox\\_%') \
                    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                    WHERE c.oid = to_regclass(CASE WHEN $1 IS NULL THEN quote_ident($2) ELSE format('%I.%I', $1, $2) END)";
    let found: Option<(i64, String, String, String, bool, bool)> =
        sqlx::query_as(of_table).bind(&table.schema).bind(&table.name).fetch_optional(&mut *connection).await?;
    let declared = table.declared();
    let Some((oid, identifier, digest, kind, inherits, has_triggers)) = found else {
        return Err(Error::misuse(format!("there is no table `{declared}`")));
    };
    if kind != "r" || inherits {
        let message = format!(
            "`{declared}` is not an ordinary table: on views, foreign and partitioned tables, partitions and tables \
             that inherit, triggers would not see every change"
        );
        return Err(Error::misuse(message));
    }
    let columns = columns(connection, oid, table).await?;
    Ok(Found { identifier, digest, has_triggers, columns })
}

/// The columns that the declaration names; their mistakes come all at once.
async fn columns(connection: &mut PgConnection, oid: i64, table: &Table) -> Result<Vec<Column>, Error> {
    // A domain is spelled as the type that it rests on.
    let of_columns = "WITH RECURSIVE typed AS ( \
                          SELECT a.attname, a.attnotnull, t.typname, t.typtype, t.typbasetype \
                          FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
                          WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped \
                          UNION ALL \
                          SELECT typed.attname, typed.attnotnull, t.typname, t.typtype, t.typbasetype \
                          FROM typed JOIN pg_type t ON t.oid = typed.typbasetype WHERE typed.typtype = 'd') \
                      SELECT attname::text, quote_ident(attname), NOT attnotnull, typname::text \
                      FROM typed WHERE typtype <> 'd'";
    let there: Vec<(String, String, bool, String)> = sqlx::query_as(of_columns).bind(oid).fetch_all(connection).await?;
    let (mut columns, mut mistakes) = (Vec::<Column>::new(), Vec::new());
    let pieces = table.names.iter().flat_map(|name| &name.pieces);
    for wanted in pieces.filter_map(|piece| if let Piece::Column(name) = piece { Some(name) } else { None }) {
        if columns.iter().any(|column| column.name == *wanted) {
            continue;
        }
        let Some((name, identifier, is_nullable, type_name)) = there.iter().find(|(name, ..)| name == wanted) else {
            let known: Vec<&str> = there.iter().map(|(name, ..)| &**name).collect();
            let declared = table.declared();
            mistakes.push(format!("table `{declared}` has no column `{wanted}`, but {}", known.join(", ")));
            continue;
        };
        let is_text = match &**type_name {
            "int2" | "int4" | "int8" | "bool" | "uuid" => false,
            "text" | "varchar" => true,
            _ => {
                mistakes.push(format!(
                    "table `{}`: nobody knows how Rust spells `{wanted}`, which is of type {type_name}: declare \
                     columns that are smallint, integer, bigint, text, varchar, boolean or uuid",
                    table.declared()
                ));
                continue;
            }
        };
        let (name, identifier, is_nullable) = (name.clone(), identifier.clone(), *is_nullable);
        columns.push(Column { name, identifier, is_text, is_nullable });
    }
    if mistakes.is_empty() { Ok(columns) } else { Err(Error::misuse(mistakes.join("\n"))) }
}
