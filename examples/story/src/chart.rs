//! The table as bars, for the page.

use std::fmt::Write;

use crate::play::{Outcome, Setup};

const NAMES: f64 = 290.0;
/// The longest bar of a column, and the room for its number.
const BAR: f64 = 130.0;
const NUMBER: f64 = 60.0;
const TOP: f64 = 60.0;
const ROW: f64 = 28.0;
const COLUMNS: [&str; 3] = ["queries", "pages that waited", "stale answers"];

fn counted(outcome: &Outcome) -> [u64; COLUMNS.len()] {
    [outcome.queries, outcome.waited, outcome.stale]
}

/// From a palette that everybody can tell apart (Okabe and Ito).
fn colour(setup: Setup) -> &'static str {
    match setup {
        Setup::NoCache => "#777777",
        Setup::ByHand { .. } => "#d55e00",
        Setup::Library(_) => "#0072b2",
    }
}

pub(crate) fn svg(rows: &[(&str, Setup, Outcome)]) -> String {
    let (width, height) = (NAMES + COLUMNS.len() as f64 * (BAR + NUMBER), TOP + ROW * rows.len() as f64 + 34.0);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut svg, 12.0, 24.0, "font-size=\"16\"", "One day of traffic, step by step");
    for (row, (name, ..)) in rows.iter().enumerate() {
        text(&mut svg, 12.0, middle(row), "", name);
    }
    for (column, title) in COLUMNS.iter().enumerate() {
        let x = NAMES + column as f64 * (BAR + NUMBER);
        text(&mut svg, x, TOP - 8.0, "font-weight=\"bold\"", title);
        let most = rows.iter().map(|(.., outcome)| counted(outcome)[column]).max().unwrap_or(0).max(1);
        for (row, (_, setup, outcome)) in rows.iter().enumerate() {
            let count = counted(outcome)[column];
            let (length, y) = (BAR * count as f64 / most as f64, middle(row) - 14.0);
            writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{length:.1}\" height=\"19\" fill=\"{}\"/>",
                colour(*setup)
            )
            .expect("a string takes all");
            text(&mut svg, x + length + 5.0, middle(row), "", &count.to_string());
        }
    }
    let legend = "Grey: no cache. Orange: written by hand, without fences. Blue: this library.";
    text(&mut svg, 12.0, height - 12.0, "fill=\"#555555\"", legend);
    svg.push_str("</svg>\n");
    svg
}

/// Where the text of a row stands.
fn middle(row: usize) -> f64 {
    TOP + ROW * row as f64 + 19.0
}

fn text(svg: &mut String, x: f64, y: f64, more: &str, text: &str) {
    writeln!(svg, "<text x=\"{x:.1}\" y=\"{y}\" {more}>{text}</text>").expect("a string takes all");
}
