//! The runs that were recorded: a table of all of them in one file, and its sums there and on the
//! page for readers. The data of a run is not kept.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::conductor::Outcome;
use crate::options::{Options, Place};

const RUNS: &str = "consistency/history.md";
const PAGE: &str = "cache-core/docs/consistency.md";
/// The sums stand after this line, up to the next empty one.
const MARK: &str = "<!-- cargo xtask check-consistency --record -->\n";
const HEAD: &str = "\
# Recorded histories

`cargo xtask check-consistency --record` adds a row for each run that has come to its end, whatever came of it, and sums them up. Each
row is of one store and of one seed; its options follow its revision. *Soon*: reads that began in the 100 ms after a change of one of
their names had returned. *One in*: of so many reads no more than one is stale, at a confidence of 95 % (rule of three).

";
const ROW_HEAD: &str = "\
| date | server | revision, options | processes × tasks | killed | s | reads | copies | soon | invalidations | refused fills | stale | panics |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
";
const SUM_HEAD: &str = "\
| store | runs | reads | copies | soon | invalidations | refused fills | stale | panics | one in |
|---|---|---|---|---|---|---|---|---|---|
";
/// Of the cells of a row, those that are summed up.
const SUMMED: [usize; 7] = [6, 7, 8, 9, 10, 11, 12];

/// Notes a run. Says where.
pub(crate) fn note(options: &Options, outcome: &Outcome) -> Result<String, String> {
    let read = |path: &str| fs::read_to_string(path).map_err(|error| format!("{path}: {error}"));
    let rows = rows(&read(RUNS)?).chain([row(options, outcome)]).collect::<Vec<_>>();
    let page = with_sums(&read(PAGE)?, &rows).ok_or_else(|| format!("{PAGE} has no line {MARK}"))?;
    for (path, text) in [(RUNS, with_rows(&rows)), (PAGE, page)] {
        fs::write(path, text).map_err(|error| format!("{path}: {error}"))?;
    }
    Ok(format!("recorded in {RUNS}, summed up in {PAGE}"))
}

fn row(options: &Options, outcome: &Outcome) -> String {
    let Outcome { checker, coverage, changes, kills, took, server, .. } = outcome;
    let server = if options.place == Place::Embedded { "embedded" } else { server };
    let invalidations: u64 = changes.values().map(|[done, _]| done).sum();
    let refused = coverage.count("refused_fills");
    let counts = [checker.judged(), checker.copies(), checker.soon(), invalidations, refused, checker.stale_count()];
    let counts = counts.map(grouped).join(" | ");
    format!(
        "| {} | {server} | {}, `{} --seed {}` | {} × {} | {kills} | {:.0} | {counts} | {} |",
        date(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)),
        revision(),
        without_seed(&options.line),
        options.seed,
        options.processes,
        options.tasks,
        took.as_secs_f64(),
        coverage.count("panics"),
    )
}

/// It is told apart, since it is drawn where it is not given.
fn without_seed(line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    let is_of_seed = |at: usize| words[at] == "--seed" || at > 0 && words[at - 1] == "--seed";
    (0..words.len()).filter(|at| !is_of_seed(*at)).map(|at| words[at]).collect::<Vec<_>>().join(" ")
}

/// Which source was built: `+` says that it was changed since.
fn revision() -> String {
    let git = |arguments: &[&str]| Command::new("git").args(arguments).output().ok().filter(|out| out.status.success());
    let text = |arguments: &[&str]| Some(String::from_utf8_lossy(&git(arguments)?.stdout).trim().to_owned());
    let Some(commit) = text(&["rev-parse", "--short", "HEAD"]) else { return env!("CARGO_PKG_VERSION").to_owned() };
    // What this program writes is no change of the source.
    let is_changed = git(&["diff", "--quiet", "HEAD", "--", ".", ":!*.md"]).is_none();
    format!("{commit}{}", if is_changed { "+" } else { "" })
}

/// The date of a day that is so many days after the first one of 1970 (H. Hinnant,
/// `civil_from_days`).
fn date(days: u64) -> String {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * from_march + 2) / 5 + 1, (from_march + 2) % 12 + 1);
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{day:02}")
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The rows of the file: they begin with a date.
fn rows(file: &str) -> impl Iterator<Item = String> {
    let of_run =
        |line: &&str| line.strip_prefix("| ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    file.lines().filter(of_run).map(ToOwned::to_owned)
}

fn with_rows(rows: &[String]) -> String {
    let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
    let (head, sums) = (HEAD, sums(&rows.lines().map(ToOwned::to_owned).collect::<Vec<_>>()));
    format!("{head}{sums}\n{ROW_HEAD}{rows}")
}

fn with_sums(page: &str, rows: &[String]) -> Option<String> {
    let (before, rest) = page.split_once(MARK)?;
    let (_, after) = rest.split_once("\n\n")?;
    Some(format!("{before}{MARK}{}\n{after}", sums(rows)))
}

/// A row for each store, by the first word of its server, and one for all of them.
fn sums(rows: &[String]) -> String {
    let mut stores: BTreeMap<&str, (u64, [u64; SUMMED.len()])> = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let store = cells.get(1).and_then(|server| server.split(' ').next()).unwrap_or_default();
        for name in [store, "~"] {
            let (runs, sums) = stores.entry(name).or_default();
            *runs += 1;
            for (sum, at) in sums.iter_mut().zip(SUMMED) {
                *sum += cells.get(at).and_then(|cell| cell.replace(',', "").parse::<u64>().ok()).unwrap_or_default();
            }
        }
    }
    let mut text = SUM_HEAD.to_owned();
    for (name, (runs, sums)) in stores {
        let [reads, .., stale, _] = sums;
        let bound = if stale == 0 { grouped(reads / 3) } else { "–".to_owned() };
        let name = if name == "~" { "all" } else { name };
        text += &format!("| {name} | {runs} | {} | {bound} |\n", sums.map(grouped).join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const EARLIER: [&str; 2] = [
        "| 2026-11-26 | Redis 7.0.15 | abc, `--seed 1` | 4 × 48 | 6 | 9 | 1,000 | 10 | 500 | 20 | 30 | 0 | 0 |",
        "| 2026-11-27 | embedded | abc+, `--seed 2` | 4 × 48 | 6 | 9 | 3,000,000 | 40 | 600 | 70 | 80 | 1 | 0 |",
    ];

    #[test]
    fn runs_are_summed_up_by_store_and_all_together() {
        let rows = EARLIER.map(ToOwned::to_owned);
        let lines = "| Redis | 1 | 1,000 | 10 | 500 | 20 | 30 | 0 | 0 | 333 |\n\
                     | embedded | 1 | 3,000,000 | 40 | 600 | 70 | 80 | 1 | 0 | – |\n\
                     | all | 2 | 3,001,000 | 50 | 1,100 | 90 | 110 | 1 | 0 | – |\n";
        assert_eq!(sums(&rows), format!("{SUM_HEAD}{lines}"));
    }

    #[test]
    fn a_file_of_runs_keeps_them_and_a_page_keeps_its_text() {
        let earlier = EARLIER.map(ToOwned::to_owned);
        let file = with_rows(&earlier);
        assert_eq!(rows(&file).collect::<Vec<_>>(), earlier);
        let page = format!("before\n{MARK}old\nsums\n\nafter\n");
        let written = with_sums(&page, &earlier).unwrap();
        assert_eq!(written, format!("before\n{MARK}{}\nafter\n", sums(&earlier)));
        assert_eq!(with_sums(&written, &earlier), Some(written), "the same again");
        assert_eq!(with_sums("no mark", &earlier), None);
    }

    #[test]
    fn days_have_their_dates() {
        let dates = [(0, "1970-01-01"), (58, "1970-02-28"), (11_016, "2000-02-29"), (20_784, "2026-11-27")];
        dates.into_iter().for_each(|(days, text)| assert_eq!(date(days), text));
    }

    #[test]
    fn a_seed_is_told_once() {
        assert_eq!(without_seed("--store redis --seed 7 --reads 5"), "--store redis --reads 5");
    }
}
