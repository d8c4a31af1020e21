//! The targets.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cache_core::{
    __entry, __private, __readers, Cache, CodecError, Compression, Format, IntoDuration, Invalidation, OpenError, Seal,
    SealedValue, Tag, escape_glob, unescape_part,
};
use serde::{Deserialize, Serialize};

use crate::Target;

/// The largest payload that may come out of a compressed one.
const INFLATED_BYTES_MAX: usize = 64 << 10;

/// All of them.
pub const TARGETS: [Target; 10] = [
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
        name: "answers",
        read: answers,
        // What a reply is read into is read once for each answer that it may be.
        bytes_max: 64 << 10,
        bytes_max_per_byte: 4_096,
        seeds: || {
            texts(&[
                "$15\r\ngranted inc 7 9\n\r\n$16\r\nheld 5 inc 7 9 \n\r\n*1\r\n$1\r\nv\r\n$6\r\nstored\r\n",
                "*5\r\n*3\r\n:2\r\n$1\r\nk\r\n:2\r\n*4\r\n$2\r\ntt\r\n$0\r\n\r\n:0\r\n:1\r\n:8\r\n:0\r\n$0\r\n\r\n",
                "*2\r\n$1\r\n0\r\n*1\r\n$3\r\nk:1\r\n*4\r\n$10\r\nregistered\r\n$3\r\ninc\r\n:3\r\n$0\r\n\r\n",
                "*6\r\n$3\r\ninc\r\n$1\r\n7\r\n$1\r\n0\r\n:0\r\n$2\r\ntt\r\n$2\r\nkk\r\n",
                "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$3\r\n::1\r\n:6379\r\n$2\r\nid\r\n",
                "-MOVED 5 zqx:6379\r\n-ASK 5 a:1\r\n-CLUSTERDOWN zqx\r\n-OOM no\r\n-NOPERM key zqx\r\n-zqx\r\n",
            ])
        },
        pieces: &[
            "\r\n",
            "*1\r\n",
            "*5\r\n",
            "$0\r\n\r\n",
            ":-1\r\n",
            ":16383\r\n",
            "_\r\n",
            " ",
            "\n",
            "granted ",
            "MOVED ",
            DETAIL,
            "1e+17",
        ],
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
        name: "payloads",
        read: payload,
        // What inflates is as large as `INFLATED_BYTES_MAX`. Of a map with one entry, some bytes,
        // a node for eleven is made, and lists grow by doubling: 256 for an inflated byte, all
        // told. Zstandard's own memory is C's, and not counted.
        bytes_max: 256 * INFLATED_BYTES_MAX,
        bytes_max_per_byte: 1_024,
        seeds: payloads,
        pieces: &["[", "{\"a\":", "null", "\0\0\0\0", "\u{1}\0\0\0", "[[[[[[[[[[[[[[[[", "\u{7f}\u{7f}\u{7f}\u{7f}"],
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
        name: "keys",
        read: key,
        bytes_max: 64 << 10,
        bytes_max_per_byte: 256,
        seeds: || texts(&["ann\n1", "a:b\nc", "~clock\n", "x~0a1b2c3d\n'7", "*\n[^a]", "\n"]),
        pieces: &[":", "%", "%25", "*", "[", "'", "~", "~0a1b2c3d", "#", "\n", "\u{0}", "ë", "{", "}"],
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

/// In an error reply whatever follows its code: it may repeat keys and values.
const DETAIL: &str = "zqx";

/// What a server says gets into no message of ours, which is one line.
fn answers(input: &[u8]) -> String {
    let Some(answers) = __readers::answers(input) else { return String::new() };
    for answer in &answers {
        assert!(answer.len() < 400 && !answer.contains(char::is_control), "{answer:?}");
        assert!(!answer.contains(DETAIL), "{answer:?}");
    }
    answers.concat()
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

/// Says only what a payload was bound to.
struct Label;

impl Seal for Label {
    fn seal(&self, plain: &[u8], bound_to: &[u8]) -> Result<SealedValue, CodecError> {
        Ok(SealedValue { key_id: 1, bytes: [bound_to, plain].concat() })
    }

    fn open(&self, key_id: u32, sealed: &[u8], _: &[u8]) -> Result<Vec<u8>, OpenError> {
        match key_id {
            1 => Ok(sealed.to_vec()),
            2 => Err(OpenError::Damaged),
            _ => Err(OpenError::UnknownKey),
        }
    }
}

/// Of every kind; of no depth, so that each codec has it.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Row {
    id: u64,
    name: String,
    tags: Vec<Option<String>>,
    at: (f64, i32),
    kind: Kind,
    more: BTreeMap<String, Vec<u8>>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
enum Kind {
    Plain,
    Sized(u32),
    Named { by: String },
}

fn rows() -> Vec<Row> {
    let row = |id: u64, kind| Row {
        id,
        name: "Ann".repeat(20),
        tags: vec![Some("a".to_owned()), None],
        at: (1.5, -1),
        kind,
        more: [("bytes".to_owned(), vec![0, 255])].into(),
    };
    vec![row(1, Kind::Plain), row(2, Kind::Sized(7)), row(3, Kind::Named { by: "Bob".to_owned() })]
}

/// With each codec and compression, sealed and not: see [`payload`].
fn payloads() -> Vec<Vec<u8>> {
    let mut seeds = texts(&["\u{1}[[1,null],\"a\",{\"b\":[]}]", "\u{1}null", "\u{41}[]"]);
    for format in [Format::Json, Format::Postcard, Format::MessagePack] {
        for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
            let (codec, compression, payload) = __entry::payload_of(&rows(), format, compression);
            let first = codec | compression << 4;
            seeds.push([&[first][..], &payload].concat());
            seeds.push([&[first | 0x40, 1, 0, 0, 0][..], &payload].concat());
        }
    }
    seeds
}

/// The first byte is what the header says: the codec, the compression, and whether it is sealed.
/// What is read is what is read again after it was written.
fn payload(input: &[u8]) -> String {
    let Some((first, payload)) = input.split_first() else { return String::new() };
    let (codec, compression, is_sealed) = (first & 0xf, first >> 4 & 3, first & 0x40 != 0);
    let entry = __entry::packed(codec, compression, is_sealed, payload);
    let seal = || is_sealed.then(|| Arc::new(Label) as Arc<dyn Seal>);
    // As deep as bytes say.
    let deep = __entry::value_of::<serde_json::Value>(entry.clone(), seal(), INFLATED_BYTES_MAX).map(drop);
    let read = __entry::value_of::<Vec<Row>>(entry, seal(), INFLATED_BYTES_MAX);
    if let Ok(rows) = &read {
        for format in [Format::Postcard, Format::MessagePack] {
            let (codec, compression, payload) = __entry::payload_of(rows, format, Compression::Zstd);
            let entry = __entry::packed(codec, compression, false, &payload);
            let again = __entry::value_of::<Vec<Row>>(entry, None, INFLATED_BYTES_MAX);
            assert!(format!("{again:?}") == format!("{read:?}"), "{format:?}");
        }
    }
    // Words, for numbers make no kinds.
    let said = ["none", "json", "postcard", "rmp"].get(usize::from(codec)).unwrap_or(&"own");
    format!("{said} {} {is_sealed} {deep:?} {:?}", "+".repeat(compression.into()), read.map(|rows| rows.len() > 1))
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

/// Two arguments, a line each. Neither gets out of its place in a key, a tag and a pattern, and
/// none of the three is one that another argument has.
fn key(input: &[u8]) -> String {
    let input = String::from_utf8_lossy(input);
    let (left, right) = input.split_once('\n').unwrap_or((&input, ""));
    let two = |template: __private::Template| template.text("k:").part(left).text(":").part(right);
    let (key, tag) = (two(__private::Template::of_key()).finish_key(), two(__private::Template::of_tag()).finish_tag());
    let pattern = __private::Template::of_key().text("k:").part(left).text(":*").finish_pattern().expect("text");
    let shows = |name: &str| {
        assert!(!name.contains(|c: char| c.is_control() || "~*?[]\\{}".contains(c)), "{name}");
        name.split_once("k:#").is_some_and(|(before, _)| before.is_empty())
    };
    let is_digest = shows(key.as_str());
    assert_eq!(__readers::glob_matches(&pattern, key.as_str()), !is_digest, "{pattern} {key}");
    if !is_digest {
        let parts: Vec<&str> = key.as_str().split(':').collect();
        assert_eq!(parts.len(), 3, "{key}");
        assert_eq!((&*unescape_part(parts[1]), &*unescape_part(parts[2])), (left, right));
    }
    assert_eq!(shows(tag.as_str()), tag.as_str().split(':').count() == 2, "{tag}");
    let is_name = Tag::new(&*input).is_ok();
    assert!(!is_name || !input.contains(char::is_control) && !input.starts_with('~'));
    format!("{is_digest} {is_name} {}", tag.as_str().contains('%'))
}

/// It is taken, or refused. That no message shows a password is tested beside what reads URLs.
fn url(input: &[u8]) -> String {
    let text = String::from_utf8_lossy(input);
    match Cache::builder().url(&*text).build() {
        Ok(_) => "opened".to_owned(),
        Err(error) => error.to_string(),
    }
}
