//! The statements that make and remove triggers.

use super::catalog::{Column, Found};
use super::declaration::{Kind, Name, Piece, Table};
use crate::limits::{INTENT_NAMES_MAX, NAME_BYTES_MAX};

/// The channel that wakes listeners.
pub(crate) const CHANNEL: &str = "cache_outbox";

/// The functions that all triggers share.
pub(super) fn shared(schema: &str) -> String {
    let functions = include_str!("functions.sql");
    functions.replace("@schema", schema).replace("@name_bytes_max", &NAME_BYTES_MAX.to_string())
}

/// The function and the triggers of one table.
pub(super) fn create(schema: &str, table: &Table, found: &Found) -> String {
    let function = function_name(schema, found);
    let body = body(schema, table, found);
    let quote = dollar_quote(&body);
    let mut sql = format!(
        "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER\n\
         SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on AS {quote}\n{body}{quote};\n"
    );
    for (event, referencing) in [
        ("insert", "REFERENCING NEW TABLE AS cache_outbox_rows "),
        ("update", "REFERENCING OLD TABLE AS cache_outbox_old NEW TABLE AS cache_outbox_new "),
        ("delete", "REFERENCING OLD TABLE AS cache_outbox_rows "),
        ("truncate", ""),
    ] {
        sql += &format!(
            "CREATE TRIGGER cache_outbox_{event} AFTER {} ON {} {referencing}\
             FOR EACH STATEMENT EXECUTE FUNCTION {function}();\n",
            event.to_uppercase(),
            found.identifier,
        );
    }
    sql
}

/// Undoes [`create`].
pub(super) fn drop(schema: &str, found: &Found) -> String {
    let events = ["insert", "update", "delete", "truncate"].iter();
    let triggers =
        events.map(|event| format!("DROP TRIGGER IF EXISTS cache_outbox_{event} ON {};\n", found.identifier));
    let function = format!("DROP FUNCTION IF EXISTS {}();\n", function_name(schema, found));
    triggers.chain([function]).collect()
}

fn function_name(schema: &str, found: &Found) -> String {
    format!("{schema}.cache_outbox_{}", found.digest)
}

/// A key cannot be told from what was truncated, and a tag has no pattern: everything goes.
fn body(schema: &str, table: &Table, found: &Found) -> String {
    let columns: Vec<&str> = found.columns.iter().map(|column| &*column.identifier).collect();
    // A table of which no column counts still has rows.
    let columns = if columns.is_empty() { "1".to_owned() } else { columns.join(", ") };
    let updated = format!("(SELECT {columns} FROM cache_outbox_old UNION ALL SELECT {columns} FROM cache_outbox_new)");
    format!(
        "BEGIN\n\
         IF TG_OP = 'TRUNCATE' THEN\n\
         INSERT INTO {schema}.cache_outbox (intent) VALUES ({schema}.cache_outbox_intent(ARRAY[]::text[], true));\n\
         ELSIF TG_OP = 'UPDATE' THEN\n{}\
         ELSE\n{}\
         END IF;\n\
         IF FOUND THEN PERFORM pg_notify('{CHANNEL}', ''); END IF;\n\
         RETURN NULL;\n\
         END\n",
        insert(schema, table, found, &updated),
        insert(schema, table, found, "cache_outbox_rows"),
    )
}

/// Writes the names of the rows, each once, some hundreds to an intent.
fn insert(schema: &str, table: &Table, found: &Found, rows: &str) -> String {
    let names: Vec<String> = table.names.iter().map(|name| select(schema, name, found, rows)).collect();
    format!(
        "INSERT INTO {schema}.cache_outbox (intent)\n\
         SELECT {schema}.cache_outbox_intent(array_agg(name), false) FROM (\n\
         SELECT name, (row_number() OVER () - 1) / {INTENT_NAMES_MAX} AS intent FROM (\n\
         SELECT DISTINCT name FROM (\n{}\n) AS spelled (name) WHERE name IS NOT NULL\n\
         ) AS distinct_names) AS numbered GROUP BY intent;\n",
        names.join("\nUNION ALL\n"),
    )
}

/// One name of each row; NULL: the row has no such name.
fn select(schema: &str, name: &Name, found: &Found, rows: &str) -> String {
    let (mut parts, mut from) = (Vec::new(), format!("{rows} AS r"));
    parts.push(if name.kind == Kind::Key { "'k'".to_owned() } else { "'t'".to_owned() });
    for (at, piece) in name.pieces.iter().enumerate() {
        match piece {
            Piece::Text(text) => parts.push(format!("'{}'", text.replace('\'', "''"))),
            Piece::Column(column) => {
                // Found: the catalog has compared them.
                let Some(column) = found.columns.iter().find(|known| known.name == *column) else { continue };
                let Column { identifier, is_text, is_nullable, .. } = column;
                if name.kind == Kind::Tag {
                    parts.push(format!("{schema}.cache_outbox_escape(r.{identifier}::text)"));
                    continue;
                }
                from += &format!(
                    ", {schema}.cache_outbox_key_parts(r.{identifier}::text, {is_text}, {is_nullable}) AS part{at}"
                );
                parts.push(format!("part{at}"));
            }
        }
    }
    format!("SELECT {} FROM {from}", parts.join(" || "))
}

/// A quote that the text does not contain.
fn dollar_quote(text: &str) -> String {
    let quotes = (0..).map(|number| format!("$cache_outbox{number}$"));
    quotes.into_iter().find(|quote| !text.contains(&**quote)).unwrap_or_default()
}
