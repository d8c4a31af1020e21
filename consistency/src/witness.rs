//! A stale read as a story: the few calls that matter, as text and as a sequence diagram.

use std::fmt::Write;

use crate::checker::{Least, Stale};
use crate::names::Name;
use crate::record::{Change, NO_LOAD};

/// One thing that happened.
struct Moment {
    at: u64,
    /// The process.
    who: u16,
    what: String,
}

/// The calls without which the read would not be stale: the load, the change that overtook it, and
/// the read.
fn story(stale: &Stale, missed: Option<&Change>) -> Vec<Moment> {
    let (read, part) = (&stale.read, &stale.part);
    let entry = Name::Key(part.kind, part.at).text();
    let mut moments = Vec::new();
    let mut add = |at, who, what| moments.push(Moment { at, who, what });
    let version = if part.version > 0 { format!(" of version {}", part.version) } else { String::new() };
    if part.loaded != NO_LOAD {
        add(part.loaded, part.by, format!("a load of {entry} begins (it returns a value{version})"));
    }
    if let Some(change) = missed {
        let names: Vec<String> = change.names.iter().map(|name| name.text()).collect();
        let names = names.join(", ");
        if let Some((row, version)) = change.committed {
            add(change.start.max(change.since), change.process, format!("row {row} has version {version}"));
        }
        add(change.start.max(change.since), change.process, format!("{} of {names} begins", change.how.text()));
        add(change.end, change.process, format!("{} has returned", change.how.text()));
    }
    let copy = if read.is_copy { " a copy of" } else { "" };
    let whole = read.parts.first().map(|whole| Name::Key(whole.kind, whole.at).text()).unwrap_or_default();
    let made = if whole == entry { String::new() } else { format!(", made from {entry}") };
    add(read.start, read.process, format!("a read of {whole} begins"));
    add(read.end, read.process, format!("the read returns{copy} the value{version} that was loaded at the top{made}"));
    moments.sort_by_key(|moment| moment.at);
    moments
}

pub(crate) fn text(stale: &Stale, missed: Option<&Change>) -> String {
    let moments = story(stale, missed);
    let first = moments.first().map_or(0, |moment| moment.at);
    let mut text = format!("STALE: {}\n", headline(stale));
    for moment in &moments {
        _ = writeln!(text, "  {:>12.3} ms  process {:<4} {}", ms(moment.at - first), moment.who, moment.what);
    }
    if missed.is_none() {
        text += "  (the change is too long ago to be told)\n";
    }
    text
}

fn headline(stale: &Stale) -> String {
    let entry = Name::Key(stale.part.kind, stale.part.at).text();
    match stale.least {
        Least::Loaded(least) => {
            let early = ms(least.saturating_sub(stale.part.loaded));
            format!("{entry} was loaded {early:.3} ms before an invalidation that had returned before the read")
        }
        Least::Version(least) => {
            format!("{entry} is of version {}, and {least} was committed and invalidated before", stale.part.version)
        }
    }
}

fn ms(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// A line of life for each process, and what happened in its order.
pub(crate) fn svg(stale: &Stale, missed: Option<&Change>) -> String {
    const COLUMN: usize = 260;
    const ROW: usize = 44;
    const TOP: usize = 70;
    let moments = story(stale, missed);
    let mut who: Vec<u16> = moments.iter().map(|moment| moment.who).collect();
    who.sort_unstable();
    who.dedup();
    let first = moments.first().map_or(0, |moment| moment.at);
    let (width, height) = (160 + COLUMN * who.len().max(2), TOP + ROW * (moments.len() + 1));
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"10\" y=\"20\">{}</text>\n",
        escaped(&headline(stale))
    );
    let column = |of: u16| 120 + COLUMN * who.iter().position(|each| *each == of).unwrap_or(0);
    for process in &who {
        let x = column(*process);
        _ = writeln!(out, "<text x=\"{x}\" y=\"48\" font-weight=\"bold\">process {process}</text>");
        _ = writeln!(out, "<line x1=\"{x}\" y1=\"56\" x2=\"{x}\" y2=\"{}\" stroke=\"#999\"/>", height - 10);
    }
    for (place, moment) in moments.iter().enumerate() {
        let (x, y) = (column(moment.who), TOP + ROW * place + ROW / 2);
        let time = ms(moment.at - first);
        _ = writeln!(out, "<text x=\"10\" y=\"{y}\" fill=\"#666\">{time:.3} ms</text>");
        _ = writeln!(out, "<circle cx=\"{x}\" cy=\"{}\" r=\"4\"/>", y - 4);
        for (line, words) in wrapped(&moment.what, 38).iter().enumerate() {
            _ = writeln!(out, "<text x=\"{}\" y=\"{}\">{}</text>", x + 10, y + 14 * line, escaped(words));
        }
    }
    out + "</svg>\n"
}

fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        if lines[last].is_empty() || lines[last].len() + word.len() < columns {
            let space = if lines[last].is_empty() { "" } else { " " };
            lines[last] += &format!("{space}{word}");
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::Kind;
    use crate::record::{How, Part, Read, Scope};

    #[test]
    fn a_witness_tells_the_load_the_change_and_the_read_in_their_order() {
        let part = Part { kind: Kind::Leaf, at: 3, by: 1, loaded: 1_000_000, version: 7 };
        let read = Read { process: 2, start: 9_000_000, end: 9_500_000, is_copy: false, parts: vec![part] };
        let stale = Stale { read, part, least: Least::Loaded(2_000_000), missed: None };
        let change = Change {
            process: 3,
            how: How::Tag,
            start: 2_000_000,
            end: 4_000_000,
            since: 2_000_000,
            scope: Scope::Everybody,
            committed: Some((3, 8)),
            names: vec![Name::Row(3)],
        };
        let text = text(&stale, Some(&change));
        let places: Vec<usize> = [
            "load of leaf:3 begins",
            "version 8",
            "invalidate_tag of row:3 begins",
            "has returned",
            "the read returns",
        ]
        .map(|word| text.find(word).unwrap_or_else(|| panic!("{word} in {text}")))
        .to_vec();
        assert!(places.is_sorted(), "{text}");
        assert!(text.starts_with("STALE: leaf:3 was loaded 1.000 ms before"), "{text}");
        let svg = svg(&stale, Some(&change));
        assert!(svg.matches("<circle").count() == 6 && svg.contains("process 3") && svg.ends_with("</svg>\n"), "{svg}");
    }
}
