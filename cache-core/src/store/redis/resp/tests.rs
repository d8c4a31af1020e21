use bytes::BufMut;
use proptest::prelude::*;

use super::*;
use crate::config::{REPLY_BULK_BYTES_MAX, REPLY_DEPTH_MAX, REPLY_ITEMS_MAX, REPLY_LINE_BYTES_MAX};

/// What a reader makes of bytes that come in pieces of so many.
fn read(bytes: &[u8], piece: usize) -> Result<Vec<Frame>, Malformed> {
    let (mut reader, mut frames) = (Reader::default(), Vec::new());
    for piece in bytes.chunks(piece.max(1)) {
        reader.room().put_slice(piece);
        while let Some(frame) = reader.next()? {
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn bulk(text: &str) -> Reply {
    Reply::Bulk(Bytes::copy_from_slice(text.as_bytes()))
}

fn simple(text: &str) -> Reply {
    Reply::Simple(Bytes::copy_from_slice(text.as_bytes()))
}

#[test]
fn every_kind_is_read_in_pieces_of_any_length() {
    let text = "+OK\r\n:-7\r\n$3\r\na\r\n\r\n$0\r\n\r\n$-1\r\n*-1\r\n_\r\n,1.5\r\n#t\r\n(3492890328409238509324850943850943825024385\r\n\
                =7\r\ntxt:abc\r\n!8\r\nERR oops\r\n-ERR no\r\n*2\r\n*0\r\n*1\r\n:1\r\n~1\r\n+a\r\n%1\r\n+k\r\n:1\r\n\
                |1\r\n+ttl\r\n:3\r\n:9\r\n*2\r\n|1\r\n+x\r\n:1\r\n+in\r\n+out\r\n>2\r\n+invalidate\r\n_\r\n+end\r\n";
    let expected = || {
        [
            simple("OK"),
            Reply::Integer(-7),
            bulk("a\r\n"),
            bulk(""),
            Reply::Null,
            Reply::Null,
            Reply::Null,
            Reply::Other,
            Reply::Other,
            Reply::Other,
            bulk("txt:abc"),
            Reply::Error(Bytes::from_static(b"ERR oops")),
            Reply::Error(Bytes::from_static(b"ERR no")),
            Reply::Array(vec![Reply::Array(vec![]), Reply::Array(vec![Reply::Integer(1)])]),
            Reply::Array(vec![simple("a")]),
            Reply::Map(vec![(simple("k"), Reply::Integer(1))]),
            // What an attribute says is passed over, wherever it stands.
            Reply::Integer(9),
            Reply::Array(vec![simple("in"), simple("out")]),
        ]
        .map(Frame::Reply)
        .into_iter()
        .chain([Frame::Push(vec![simple("invalidate"), Reply::Null]), Frame::Reply(simple("end"))])
        .collect::<Vec<_>>()
    };
    // A verbatim text keeps its format in front: no command of ours is answered with one.
    for piece in 1..=text.len() {
        assert_eq!(read(text.as_bytes(), piece).unwrap(), expected(), "in pieces of {piece}");
    }
}

#[test]
fn nonsense_and_more_than_any_answer_has_is_refused_before_it_is_collected() {
    let deep = "*1\r\n".repeat(REPLY_DEPTH_MAX + 1);
    let wide = format!("*{}\r\n", REPLY_ITEMS_MAX + 1);
    let wider = format!("*2\r\n*{REPLY_ITEMS_MAX}\r\n");
    let large = format!("${}\r\n", REPLY_BULK_BYTES_MAX + 1);
    let line = format!("+{}", "x".repeat(REPLY_LINE_BYTES_MAX));
    for text in [
        "HTTP/1.1 400\r\n",
        "x",
        "\r\n",
        "+OK\n",
        "$\r\n",
        "$-2\r\n",
        "$+1\r\n",
        "$1x\r\n",
        "$3\r\nabcd\r\n",
        "*-2\r\n",
        "%-1\r\n",
        "$99999999999999999999\r\n",
        "*99999999999\r\n",
        "$?\r\n",
        "*2\r\n>1\r\n+x\r\n",
        ":1x\r\n",
        "#yes\r\n",
        "_x\r\n",
        ",one\r\n",
        &deep,
        &wide,
        &wider,
        &large,
        &line,
    ] {
        for piece in [1, 2, text.len()] {
            assert_eq!(read(text.as_bytes(), piece), Err(Malformed), "{text:.40}");
        }
    }
    let deepest = "*1\r\n".repeat(REPLY_DEPTH_MAX) + ":1\r\n";
    assert_eq!(read(deepest.as_bytes(), 1).unwrap().len(), 1);
}

/// A length that is only claimed takes no memory.
#[test]
fn a_claimed_length_is_not_allocated() {
    let mut reader = Reader::default();
    reader.room().put_slice(format!("${REPLY_BULK_BYTES_MAX}\r\nabc").as_bytes());
    assert_eq!(reader.next(), Ok(None));
    assert!(reader.room().capacity() < 4 << 20);
}

#[test]
fn a_large_reply_leaves_no_memory_behind() {
    let mut reader = Reader::default();
    let text = vec![b'x'; 4 << 20];
    reader.room().put_slice(format!("${}\r\n", text.len()).as_bytes());
    for piece in [&text[..], b"\r\n+next"].concat().chunks(100_000) {
        assert_eq!(reader.next(), Ok(None));
        reader.room().put_slice(piece);
    }
    let Ok(Some(Frame::Reply(Reply::Bulk(large)))) = reader.next() else { panic!("it is whole") };
    assert_eq!(large.len(), text.len());
    drop(large);
    assert_eq!(reader.next(), Ok(None));
    reader.room().put_slice(b"\r\n");
    assert_eq!(reader.next(), Ok(Some(Frame::Reply(simple("next")))));
    assert!(reader.room().capacity() < 1 << 20);
}

fn encoded(command: &Command) -> String {
    let mut out = Vec::new();
    command.encode(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_command_is_an_array_of_its_words() {
    let command = Command::new("SET").arg("key").arg([1, 2]).number(0).number(u64::MAX).args(["", "0123456789"]);
    assert_eq!(
        encoded(&command),
        "*7\r\n$3\r\nSET\r\n$3\r\nkey\r\n$2\r\n\u{1}\u{2}\r\n$1\r\n0\r\n$20\r\n18446744073709551615\r\n$0\r\n\r\n\
         $10\r\n0123456789\r\n"
    );
    assert_eq!(encoded(&Command::new("GET").joined(["shop:", "k"])), encoded(&Command::new("GET").arg("shop:k")));
    assert_eq!(encoded(&Command::new("EXEC")), "*1\r\n$4\r\nEXEC\r\n");
}

#[test]
fn a_renamed_command_keeps_all_arguments_but_the_first() {
    for first in ["", "a", "0123456789\r\n$1"] {
        let command = Command::new("EVALSHA").arg(first).arg("1").arg("k");
        assert_eq!(
            encoded(&command.renamed("EVAL", b"return")),
            encoded(&Command::new("EVAL").args(["return", "1", "k"]))
        );
    }
}

#[test]
fn nothing_that_was_sent_or_received_is_shown() {
    let shown = format!("{:?} {:?}", Command::new("GET").arg("s3cr3t"), [bulk("s3cr3t"), simple("s3cr3t")]);
    assert!(!shown.contains("s3cr3t"), "{shown}");
}

fn value() -> impl Strategy<Value = ::redis::Value> {
    use ::redis::Value;
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<i64>().prop_map(Value::Int),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::BulkString),
        "[ -~]{0,20}".prop_map(Value::SimpleString),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

fn written(value: &::redis::Value, out: &mut Vec<u8>) {
    use ::redis::Value;
    let line = |out: &mut Vec<u8>, text: String| out.extend_from_slice(text.as_bytes());
    match value {
        Value::Nil => line(out, "_\r\n".to_owned()),
        Value::Int(number) => line(out, format!(":{number}\r\n")),
        Value::SimpleString(text) => line(out, format!("+{text}\r\n")),
        Value::BulkString(bytes) => {
            line(out, format!("${}\r\n", bytes.len()));
            out.extend_from_slice(bytes);
            line(out, "\r\n".to_owned());
        }
        Value::Array(items) => {
            line(out, format!("*{}\r\n", items.len()));
            items.iter().for_each(|item| written(item, out));
        }
        Value::Map(pairs) => {
            line(out, format!("%{}\r\n", pairs.len()));
            pairs.iter().for_each(|(name, value)| {
                written(name, out);
                written(value, out);
            });
        }
        _ => unreachable!("not generated"),
    }
}

fn agrees(ours: &Reply, theirs: &::redis::Value) -> bool {
    use ::redis::Value;
    match (ours, theirs) {
        (Reply::Null, Value::Nil) => true,
        (Reply::Integer(ours), Value::Int(theirs)) => ours == theirs,
        (Reply::Bulk(ours), Value::BulkString(theirs)) => ours[..] == theirs[..],
        (Reply::Simple(ours), Value::Okay) => &ours[..] == b"OK",
        (Reply::Simple(ours), Value::SimpleString(theirs)) => ours[..] == *theirs.as_bytes(),
        (Reply::Error(_), Value::ServerError(_)) => true,
        (Reply::Array(ours), Value::Array(theirs) | Value::Set(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| agrees(ours, theirs))
        }
        (Reply::Map(ours), Value::Map(theirs)) => {
            let pair = |((a, b), (c, d)): (&(Reply, Reply), &(Value, Value))| agrees(a, c) && agrees(b, d);
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(pair)
        }
        (Reply::Other, Value::Double(_) | Value::Boolean(_) | Value::BigNumber(_)) => true,
        (Reply::Bulk(_), Value::VerbatimString { .. }) => true,
        _ => false,
    }
}

proptest! {
    /// The other reader is that of the redis crate.
    #[test]
    fn two_readers_agree_on_what_is_well_formed(values in proptest::collection::vec(value(), 1..5), piece in 1usize..64) {
        let texts = values.iter().map(|value| {
            let mut bytes = Vec::new();
            written(value, &mut bytes);
            bytes
        });
        let texts: Vec<_> = texts.collect();
        let frames = read(&texts.concat(), piece).unwrap();
        prop_assert_eq!(frames.len(), texts.len());
        for (frame, text) in frames.iter().zip(&texts) {
            let theirs = ::redis::parse_redis_value(text).unwrap();
            let Frame::Reply(ours) = frame else { panic!("no push was written") };
            prop_assert!(agrees(ours, &theirs), "{ours:?} {theirs:?}");
        }
    }

    /// Whatever comes, nothing panics, and the length of the pieces makes no difference.
    #[test]
    fn any_bytes_are_a_reply_or_refused(bytes in proptest::collection::vec(prop_oneof![
        4 => proptest::sample::select(b"+-:_,#($*=!~>%|0123456789\r\n".to_vec()),
        1 => any::<u8>(),
    ], 0..64), piece in 1usize..16) {
        let whole = read(&bytes, bytes.len());
        let parts = read(&bytes, piece);
        prop_assert_eq!(whole.is_ok(), parts.is_ok());
        if let (Ok(whole), Ok(parts)) = (whole, parts) {
            prop_assert_eq!(whole, parts);
        }
    }
}
