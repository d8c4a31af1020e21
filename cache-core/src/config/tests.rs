//! A document that states a default states the one that the code has.

use super::*;

const README: &str = include_str!("../../README.md");
const PAGES: [&str; 8] = [
    include_str!("../../docs/cached.md"),
    include_str!("../../docs/freshness.md"),
    include_str!("../../docs/invalidates.md"),
    include_str!("../../docs/outbox.md"),
    include_str!("../../docs/transactions.md"),
    include_str!("../../docs/verify.md"),
    include_str!("../../docs/warming.md"),
    include_str!("../../docs/write_through.md"),
];

macro_rules! defaults {
    ($(
        $(#[$doc:meta])*
        $default:ident $name:ident: $type:ty = $number:literal $($unit:ident)?,
    )*) => {
        /// Each setting with its default, as the rows of `settings!` write it.
        const DEFAULTS: &[(&str, &str)] = &[$((stringify!($name), concat!($number, $(" ", stringify!($unit),)?)),)*];
    };
}

settings!(defaults);

/// `4096` is `4,096` in a text for people.
fn written(default: &str) -> String {
    let digits = default.find(|c: char| !c.is_ascii_digit()).unwrap_or(default.len());
    let (number, unit) = default.split_at(digits);
    match number.len() {
        4.. => format!("{},{}{unit}", &number[..number.len() - 3], &number[number.len() - 3..]),
        _ => default.to_owned(),
    }
}

fn section(heading: &str) -> &'static str {
    let (_, rest) = README.split_once(&format!("\n## {heading}\n")).expect("the README has this section");
    rest.split("\n## ").next().unwrap_or(rest)
}

#[test]
fn the_readme_states_each_setting_with_its_default_and_no_other() {
    let limits = section("Limits");
    for (setting, default) in DEFAULTS {
        let default = written(default);
        let forms = [format!("| `{setting}` | {default} |"), format!("`{setting}` ({default})")];
        let found: usize = forms.iter().map(|form| limits.matches(&**form).count()).sum();
        assert_eq!(found, 1, "`{setting}` is {default}: the README's limits say so once");
    }
    let rows = limits.lines().filter_map(|line| line.strip_prefix("| ")).skip(1);
    for setting in rows.filter_map(|row| row.split(" | ").nth(1)?.strip_prefix('`')?.strip_suffix('`')) {
        assert!(DEFAULTS.iter().any(|(known, _)| *known == setting), "there is no setting `{setting}`");
    }
}

#[test]
fn the_readme_states_the_limits_that_cannot_be_set() {
    let limits = section("Limits");
    let name_bytes = written(&NAME_BYTES_MAX.to_string());
    for stated in [
        format!("| length of a key, tag or pattern | | {name_bytes} bytes |"),
        format!("| tokio runtimes of one process that use the cache at once | | {RUNTIMES_MAX} |"),
        format!(
            "| loads with `finish` or `load_timeout` at once, per cache | | {} |",
            written(&LOAD_TASKS_MAX.to_string())
        ),
        format!(
            "| a text of others in one line of the log, such as a function's error | | {} bytes |",
            written(&LOG_TEXT_BYTES_MAX.to_string())
        ),
        format!("| trust in a server that said it is a primary | | {} s |", PRIMARY_TRUST.as_secs_f64()),
        format!("growing pauses, {} s at most |", RECONNECT_DELAY_MAX.as_secs_f64()),
        format!("a key of more than {KEY_BYTES_MAX} bytes ends in a hash"),
    ] {
        assert_eq!(limits.matches(&*stated).count(), 1, "the README's limits say once: {stated}");
    }
}

/// `([`lease`](crate::Builder::lease), 1 s)` is how a page states a default.
#[test]
fn a_page_that_states_a_default_beside_its_setting_states_the_right_one() {
    let mut stated = 0;
    for mention in PAGES.iter().flat_map(|page| page.split("](crate::Builder::").skip(1)) {
        let (setting, rest) = mention.split_once(')').expect("a link ends");
        let Some(value) = rest.strip_prefix(", ").and_then(|rest| rest.split(')').next()) else { continue };
        let (_, default) = DEFAULTS.iter().find(|(known, _)| *known == setting).expect("a setting with a default");
        assert_eq!(value, written(default), "{setting}");
        stated += 1;
    }
    assert!(stated > 3, "{stated} are too few: the pages are written in another way");
}
