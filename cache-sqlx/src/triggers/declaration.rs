//! What is declared of tables: parsed, and not yet compared with a database.

use crate::error::Error;
use crate::limits::{DECLARATION_BYTES_MAX, TABLE_NAMES_MAX};

/// One table, and the names of what is made from one of its rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Without a schema it is searched as any table is.
    pub(super) schema: Option<String>,
    pub(super) name: String,
    pub(super) names: Vec<Name>,
}

/// A key or a tag with columns in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) kind: Kind,
    pub(super) pieces: Vec<Piece>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Key,
    Tag,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    Column(String),
}

impl Table {
    /// As it was declared.
    pub(super) fn declared(&self) -> String {
        self.schema.iter().map(|schema| format!("{schema}.")).chain([self.name.clone()]).collect()
    }
}

/// Reads `table flights: key flight:{id}, tag airport:{origin}, airport:{destination}`, any number
/// of times. The mistakes come all at once.
pub(super) fn parse(text: &str) -> Result<Vec<Table>, Error> {
    if text.len() > DECLARATION_BYTES_MAX {
        return Err(Error::misuse(format!("a declaration is at most {DECLARATION_BYTES_MAX} bytes long")));
    }
    let (mut tables, mut mistakes) = (Vec::<Table>::new(), Vec::new());
    let mut words = text.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if word != "table" {
            mistakes.push(format!("`{word}` stands where `table NAME:` should begin"));
            break;
        }
        let mut own = Vec::new();
        while let Some(word) = words.next_if(|word| *word != "table") {
            own.push(word);
        }
        match table(&own.join(" "), &mut mistakes) {
            Some(table) if tables.iter().any(|other| other.declared() == table.declared()) => {
                mistakes.push(format!("table `{}` is declared twice: name all in one declaration", table.declared()));
            }
            Some(table) => tables.push(table),
            None => {}
        }
    }
    if tables.is_empty() && mistakes.is_empty() {
        mistakes.push("no table is declared: write `table flights: key flight:{id}`".to_owned());
    }
    if mistakes.is_empty() { Ok(tables) } else { Err(Error::misuse(mistakes.join("\n"))) }
}

/// Reads `flights: key flight:{id}, tag airport:{origin}`.
fn table(text: &str, mistakes: &mut Vec<String>) -> Option<Table> {
    let Some((name, list)) = text.split_once(": ").or_else(|| text.strip_suffix(':').map(|name| (name, ""))) else {
        mistakes.push(format!("`table {text}` has no `:` after the name: write `table flights: key flight:{{id}}`"));
        return None;
    };
    let (schema, name) = name.split_once('.').map_or((None, name), |(schema, name)| (Some(schema.to_owned()), name));
    if name.is_empty() || name.contains([' ', '.']) || schema.as_deref() == Some("") {
        mistakes.push(format!("`table {text}`: a table is `NAME` or `SCHEMA.NAME`"));
        return None;
    }
    let mut table = Table { schema, name: name.to_owned(), names: Vec::new() };
    let mut kind = None;
    for item in list.split(',').map(str::trim) {
        let (word, first) = item.split_once(' ').unwrap_or((item, ""));
        let item = match word {
            "key" => {
                kind = Some(Kind::Key);
                first
            }
            "tag" => {
                kind = Some(Kind::Tag);
                first
            }
            _ => item,
        };
        let reason = match kind {
            None => Err("begin the list with `key` or `tag`".to_owned()),
            Some(kind) => pieces(item, kind).map(|pieces| table.names.push(Name { kind, pieces })),
        };
        if let Err(reason) = reason {
            mistakes.push(format!("table `{}`, `{item}`: {reason}", table.declared()));
        }
    }
    if table.names.len() > TABLE_NAMES_MAX {
        mistakes.push(format!("table `{}` has more than {TABLE_NAMES_MAX} names", table.declared()));
    }
    Some(table)
}

/// Splits `route:{origin}:{destination}`.
fn pieces(text: &str, kind: Kind) -> Result<Vec<Piece>, String> {
    if text.is_empty() {
        return Err("a name must not be empty".to_owned());
    }
    if text.starts_with('~') {
        return Err("a name must not start with `~`, which is reserved".to_owned());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a name must not contain white space: put a `,` between two names".to_owned());
    }
    let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        let column = match (brace, rest.find(['{', '}'])) {
            ("{", Some(end)) if rest[end..].starts_with('}') && end > 0 => &rest[..end],
            ("{", Some(0)) => return Err("`{}` names no column".to_owned()),
            ("{", _) => return Err("`{` is never closed: write `{{` for a brace that is text".to_owned()),
            _ => return Err("`}` closes nothing: write `}}` for a brace that is text".to_owned()),
        };
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(Piece::Column(column.to_owned()));
        rest = &rest[column.len() + 1..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    if kind == Kind::Key && has_neighbours(&pieces) {
        return Err("two columns of a key need a `:` between them, as in the key of the function".to_owned());
    }
    Ok(pieces)
}

/// Whether a key has two columns without a `:` between them, which no attribute accepts either.
fn has_neighbours(pieces: &[Piece]) -> bool {
    let mut separated = true;
    pieces.iter().any(|piece| match piece {
        Piece::Text(text) => {
            separated |= text.contains(':');
            false
        }
        Piece::Column(_) => !std::mem::replace(&mut separated, false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, says: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }

    #[test]
    fn tables_keys_and_tags_are_read() {
        let tables = parse(
            "table flights: key flight:{id}, tag airport:{origin}, airport:{destination}
             table app.orders: tag all-orders, key order:{id}:{line}",
        );
        let tables = tables.unwrap();
        let column = |name: &str| Piece::Column(name.to_owned());
        let text = |text: &str| Piece::Text(text.to_owned());
        let [flights, orders] = &tables[..] else { panic!("two tables") };
        assert_eq!((flights.schema.as_deref(), &*flights.name), (None, "flights"));
        assert_eq!(flights.names[0], Name { kind: Kind::Key, pieces: vec![text("flight:"), column("id")] });
        assert_eq!(flights.names[2], Name { kind: Kind::Tag, pieces: vec![text("airport:"), column("destination")] });
        assert_eq!((orders.schema.as_deref(), &*orders.name), (Some("app"), "orders"));
        assert_eq!(orders.names[0], Name { kind: Kind::Tag, pieces: vec![text("all-orders")] });
        assert_eq!(orders.names[1].pieces, [text("order:"), column("id"), text(":"), column("line")]);
    }

    #[test]
    fn double_braces_are_text() {
        let tables = parse("table t: tag {{{a}}}").unwrap();
        let texts = [Piece::Text("{".to_owned()), Piece::Column("a".to_owned()), Piece::Text("}".to_owned())];
        assert_eq!(tables[0].names[0].pieces, texts);
    }

    #[test]
    fn mistakes_are_named_with_the_way_out() {
        refused("", "no table is declared");
        refused("flights: key a", "where `table NAME:` should begin");
        refused("table flights", "has no `:`");
        refused("table a.b.c: key a", "`NAME` or `SCHEMA.NAME`");
        refused("table flights:", "begin the list");
        refused("table flights: flight:{id}", "begin the list with `key` or `tag`");
        refused("table flights: key ", "must not be empty");
        refused("table flights: key a,, b", "must not be empty");
        refused("table flights: key ~a", "reserved");
        refused("table flights: key flight: {id}", "must not contain white space");
        refused("table flights: key flight:{id", "never closed");
        refused("table flights: key flight:id}", "closes nothing");
        refused("table flights: key flight:{}", "names no column");
        refused("table flights: key {a}-{b}", "need a `:` between them");
        refused("table a: key a table a: key b", "declared twice");
        let many: Vec<String> = (0..=TABLE_NAMES_MAX).map(|n| n.to_string()).collect();
        refused(&format!("table a: tag {}", many.join(", ")), "more than 32 names");
        refused(&" ".repeat(DECLARATION_BYTES_MAX + 1), "bytes long");
        // All at once.
        let both = parse("table a: key ~a, {").unwrap_err().to_string();
        assert_eq!(both.lines().count(), 2, "{both}");
    }
}
