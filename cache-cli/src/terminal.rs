//! What is printed, asked and drawn.

use std::io::{self, BufRead, IsTerminal, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::ending::{Ending, Failure};

/// A line of progress is drawn so often at most.
const PROGRESS_PAUSE: Duration = Duration::from_millis(100);
/// Longer answers are no.
const ANSWER_BYTES_MAX: u64 = 100;

/// Where the answers go.
pub(crate) struct Terminal {
    json: bool,
}

impl Terminal {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// The answer: for people, or with `--json` as one line for programs.
    pub(crate) fn answer<T: Serialize>(&self, answer: &T, words: impl FnOnce() -> String) -> Result<(), Failure> {
        if self.json { say_raw(&to_json(answer)?) } else { say(&words()) }
    }

    /// A line that counts, on the terminal of a person alone.
    pub(crate) fn progress(&self, what: &'static str) -> Progress {
        let draws = !self.json && io::stderr().is_terminal();
        Progress { what, draws, drawn: None }
    }
}

pub(crate) fn to_json<T: Serialize>(answer: &T) -> Result<String, Failure> {
    serde_json::to_string(answer).map_err(|error| Failure::unreachable(format!("cannot be written as JSON: {error}")))
}

/// Prints a text for people.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    say_raw(&printable(text))
}

fn say_raw(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).map_err(unwritten)
}

/// Draws: escape sequences stay what they are.
pub(crate) fn draw(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(unwritten)
}

fn unwritten(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::nobody_reads(),
        _ => Failure::unreachable(format!("cannot write the answer: {error}")),
    }
}

/// Says why a run could not go on.
pub(crate) fn tell(failure: &Failure) -> Ending {
    // That is how clap begins as well.
    let message = failure.message().strip_prefix("error: ").unwrap_or(failure.message());
    if !message.is_empty() {
        eprintln!("error: {}", printable(message));
    }
    failure.ending()
}

pub(crate) fn warn(text: &str) {
    eprintln!("warning: {}", printable(text));
}

/// Without what would move the cursor: keys may be anybody's.
pub(crate) fn printable(text: &str) -> String {
    let escaped = |character: char| {
        let is_shown = character == '\n' || !character.is_control();
        if is_shown { String::from(character) } else { character.escape_default().to_string() }
    };
    text.chars().map(escaped).collect()
}

/// Whether there is somebody to ask: what is piped in is no answer.
pub(crate) fn is_anybody_there() -> Result<(), Failure> {
    let nobody = "nothing was done: there is no terminal to ask at; `--yes` does it without asking";
    if io::stdin().is_terminal() { Ok(()) } else { Err(Failure::refused(nobody)) }
}

/// Asks on the terminal; anything but yes is no.
pub(crate) fn ask(question: &str) -> bool {
    eprint!("{} [y/N] ", printable(question));
    let mut answer = String::new();
    let read = io::Read::take(io::stdin().lock(), ANSWER_BYTES_MAX).read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// A line on stderr that counts while something long goes on, and is gone when that has ended.
pub(crate) struct Progress {
    what: &'static str,
    draws: bool,
    drawn: Option<Instant>,
}

impl Progress {
    pub(crate) fn at(&mut self, done: u64, of: Option<u64>) {
        if !self.draws || self.drawn.is_some_and(|drawn| drawn.elapsed() < PROGRESS_PAUSE) {
            return;
        }
        self.drawn = Some(Instant::now());
        let bar = of.filter(|of| *of > 0).map(|of| format!(" {} of {of}", bar(done, of)));
        eprint!("\r\x1b[K{}:{}", self.what, bar.unwrap_or_else(|| format!(" {done}")));
    }
}

fn bar(done: u64, of: u64) -> String {
    const WIDTH: u64 = 20;
    let full = (done.min(of) * WIDTH / of) as usize;
    format!("[{}{}] {done}", "#".repeat(full), " ".repeat(WIDTH as usize - full))
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn.is_some() {
            eprint!("\r\x1b[K");
        }
    }
}

/// The whole terminal of a person, given back when it is dropped.
pub(crate) struct Screen;

impl Screen {
    /// `None`: the output is for a program or for a file.
    pub(crate) fn open(terminal: &Terminal) -> Option<Self> {
        let is_seen = !terminal.json && io::stdout().is_terminal();
        // The other screen, without the cursor.
        if is_seen && draw("\x1b[?1049h\x1b[?25l").is_ok() { Some(Self) } else { None }
    }

    pub(crate) fn draw(&self, text: &str) -> Result<(), Failure> {
        // A line ends where the terminal is wide enough or not: no line is wrapped.
        draw(&format!("\x1b[H\x1b[J\x1b[?7l{}\x1b[?7h", printable(text)))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = draw("\x1b[?25h\x1b[?1049l");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_moves_no_cursor() {
        assert_eq!(printable("a\x1b[2Jb\u{9b}c\r\td\ne"), "a\\u{1b}[2Jb\\u{9b}c\\r\\td\ne");
    }

    #[test]
    fn a_bar_is_full_at_the_end_and_never_longer() {
        assert_eq!(bar(0, 3), "[                    ] 0");
        assert_eq!(bar(1, 2), "[##########          ] 1");
        assert_eq!(bar(9, 3), format!("[{}] 9", "#".repeat(20)));
    }
}
