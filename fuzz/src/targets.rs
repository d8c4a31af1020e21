//! The targets.

use bytes::Bytes;
use cache_core::{__entry, __private, __readers, Cache, IntoDuration, Invalidation, escape_glob, unescape_part};

use crate::Target;

/// All of them.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "replies",
        read: replies,
        // A large text is read with as much room at once, and its claimed length allocates no more.
        bytes_max: 4 << 20,
        bytes_max_per_byte: 2_048,
        seeds: || {
            texts(&[
                "\u{3}+OK\r\n:-7\r\n$3\r\nabc\r\n$-1\r\n_\r\n",
                "\u{3}*2\r\n*0\r\n*1\r\n:1\r\n~1\r\n+a\r\n%1\r\n+k\r\n:1\r\n",
                "\u{3}|1\r\n+ttl\r\n:3\r\n:9\r\n>2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n",
                "\u{3}-ERR no\r\n!8\r\nERR oops\r\n,1.5\r\n#t\r\n(34928\r\n=7\r\ntxt:abc\r\n",
            ])
        },
        pieces: &["\r\n", "*1\r\n", "%1\r\n", "|1\r\n", ">1\r\n", "$1\r\na\r\n", "+a\r\n", ":1\r\n", "$", "*", "_\r\n"],
    },
    Target {
        name: "entries",
        read: entry,
        bytes_max: 4_096,
        bytes_max_per_byte: 64,
        seeds: || {
            let entry = __entry::sample(b"{}");
            vec![entry.to_vec(), entry[..entry.len() - 4].to_vec(), __entry::sample(&[b'x'; 200]).to_vec()]
        },
        pieces: &["\n", "kuser:1", "tusers", "\0\0\0\0"],
    },
    Target {
        name: "invalidations",
        read: invalidation,
        bytes_max: 64 << 10,
        bytes_max_per_byte: 512,
        seeds: || {
            let whole = Invalidation::new().key("user:1").tag("users").pattern("user:*").hold("2s");
            let whole = whole.to_json().expect("it can be written");
            texts(&[&whole, "{\"version\":1,\"keys\":[],\"tags\":[],\"patterns\":[],\"everything\":true}"])
        },
        pieces: &["\"keys\":", "[\"a\"]", "[]", "\"version\":", "\"hold_ms\":", "null", "true", "\\u0000", "{", "}"],
    },
    Target {
        name: "durations",
        read: duration,
        bytes_max: 4_096,
        bytes_max_per_byte: 16,
        seeds: || texts(&["250ms", "2s", "5m", "24h", "7d", "0s"]),
        pieces: &["ms", "s", "m", "h", "d", " ", "_", ".", "-"],
    },
    Target {
        name: "globs",
        read: glob,
        bytes_max: 64 << 10,
        bytes_max_per_byte: 256,
        seeds: || texts(&["user:*\nuser:1", "le?f:[0-9]\nleaf:1", "[^a-c]\\*\nd*", "*a*b*c\naabbcc"]),
        pieces: &["*", "?", "[", "]", "^", "-", "\\", "\n", "[^a-z]"],
    },
    Target {
        name: "parts",
        read: part,
        bytes_max: 64 << 10,
        bytes_max_per_byte: 256,
        seeds: || texts(&["user:1", "%3A%25", "Zoë", "a b", "'7", "", "true"]),
        pieces: &[":", "%", "%25", "*", "'", "~", "\n", "\u{0}", "ë"],
    },
    Target {
        name: "urls",
        read: url,
        bytes_max: 1 << 20,
        bytes_max_per_byte: 256,
        seeds: || {
            texts(&[
                "redis://user:p%40ss@host:6379/3",
                "redis+unix:///run/redis.sock?db=1&user=u&pass=p",
                "redis-sentinel://a:1,b:2/primary/0?sentinel_user=u&sentinel_pass=p",
                "redis://[::1]:6379/0?protocol=resp3",
                "memory://",
            ])
        },
        pieces: &["redis://", "://", "@", ":", "/", "?", "&", "#", "%40", "[", "]", ",", "db=", "=", "rediss"],
    },
];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// In pieces of any length they are the same replies. The first byte says how long the pieces are.
fn replies(input: &[u8]) -> String {
    let Some((piece, bytes)) = input.split_first() else { return String::new() };
    let whole = __readers::frames(bytes, bytes.len());
    assert_eq!(whole, __readers::frames(bytes, usize::from(*piece)));
    format!("{whole:?}")
}

/// As it is, and with the checksum made right: without that hardly any change would be looked at.
fn entry(input: &[u8]) -> String {
    let read = |entry: Bytes| {
        let outline = __entry::outline_of(&entry);
        assert!(outline.is_err() || __entry::is_readable(&entry));
        match outline {
            Ok((names, payload)) => format!("{} {}", "n".repeat(names), payload > 0),
            Err(reason) => reason,
        }
    };
    format!("{} {}", read(Bytes::copy_from_slice(input)), read(__entry::sealed(input)))
}

/// What can be read is written as it was read.
fn invalidation(input: &[u8]) -> String {
    match Invalidation::from_json(&String::from_utf8_lossy(input)) {
        Ok(read) => {
            let written = read.to_json().expect("what was read can be written");
            let again = Invalidation::from_json(&written).expect("what was written can be read");
            assert_eq!(again.to_json().expect("it is the same"), written);
            // How much there is of what.
            written.chars().filter(|character| character.is_ascii_punctuation()).take(60).collect()
        }
        Err(error) => error.to_string(),
    }
}

fn duration(input: &[u8]) -> String {
    match String::from_utf8_lossy(input).into_duration() {
        Ok(duration) => format!("{duration:?}"),
        Err(error) => format!("{:?}", error.kind()),
    }
}

/// A pattern and a text, a line each. A text is of the pattern that it was escaped to be.
fn glob(input: &[u8]) -> String {
    let input = String::from_utf8_lossy(input);
    let (pattern, text) = input.split_once('\n').unwrap_or((&input, ""));
    assert!(__readers::glob_matches(&escape_glob(text), text));
    assert!(__readers::glob_matches("*", text));
    __readers::glob_matches(pattern, text).to_string()
}

/// A part of a key is read back as it was written, and no two parts are one.
fn part(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input).into_owned();
    let key = __private::Template::of_key().text("k:").part(&*text).finish_key();
    let written = key.as_str();
    unescape_part(&text);
    match written.strip_prefix("k:") {
        Some(part) if part.starts_with('~') || part.starts_with('\'') => "apart".to_owned(),
        Some(part) => {
            assert!(!part.contains(':'), "{part}");
            part.chars().filter(|character| !character.is_alphanumeric()).take(3).collect()
        }
        None => "unnamed".to_owned(),
    }
}

/// No message repeats what may be a password.
fn url(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    match Cache::builder().url(&*text).build() {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    }
}
