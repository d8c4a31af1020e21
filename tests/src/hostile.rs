//! Texts that whoever calls a service may send.

/// What such texts are made of: whatever separates, matches, escapes, quotes or ends something in a
/// key, a tag, a pattern, a script, a reply, a log, a header or a terminal.
const PIECES: [&str; 56] = [
    ":",
    "::",
    "%",
    "%25",
    "%3A",
    "%7E",
    "*",
    "?",
    "[a]",
    "[^a]",
    "[",
    "]",
    "\\",
    "{",
    "}",
    "{0}",
    "{result}",
    "~",
    "~clock",
    "~index:t",
    "~0a1b2c3d",
    "#",
    "#0123456789abcdef0123456789abcdef",
    "\n",
    "\r",
    "\r\n$3\r\nDEL\r\n",
    "\n1970-01-01T00:00:00Z ERROR forged: ",
    "\0",
    "\t",
    " ",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{a0}",
    "\u{202e}",
    "\u{2066}",
    "\u{200f}",
    "\u{2028}",
    "\u{2029}",
    "\u{feff}",
    "\u{e9}",
    "e\u{301}",
    "\u{6f22}",
    "\u{1f600}",
    "'",
    "\"",
    "!",
    "+",
    ".",
    "true",
    "1",
    "-1",
    "a",
    "b",
    "') redis.call('FLUSHALL",
    "]]",
];

/// Different texts, the same each time: each piece alone, the empty one, long ones, and so many
/// that are put together by chance.
pub fn hostile_texts(together: usize) -> Vec<String> {
    let mut texts: Vec<String> = PIECES.iter().map(|piece| (*piece).to_owned()).collect();
    texts.extend([String::new(), "a".repeat(119), "a".repeat(120), "a".repeat(1_025), "%\u{e9}:~".repeat(500)]);
    let mut random = fastrand::Rng::with_seed(11);
    for _ in 0..together {
        let pieces = random.usize(2..=5);
        texts.push((0..pieces).map(|_| PIECES[random.usize(..PIECES.len())]).collect());
    }
    texts.sort();
    texts.dedup();
    random.shuffle(&mut texts);
    texts
}
