//! A command as the bytes that are sent.

/// Room for the length of an argument below 100 GB, and the ends of two lines.
const LENGTH_LINE_BYTES: usize = 16;

/// One command: its name and its arguments, encoded as they are given.
#[derive(Clone)]
pub(in crate::store::redis) struct Command {
    name: &'static str,
    /// How many words, the name included.
    words: usize,
    /// Every argument as a bulk string.
    arguments: Vec<u8>,
    /// Where in these one is left out, which the connection knows.
    gap: Option<usize>,
}

impl Command {
    pub(in crate::store::redis) fn new(name: &'static str) -> Self {
        Self { name, words: 1, arguments: Vec::new(), gap: None }
    }

    pub(in crate::store::redis) fn name(&self) -> &'static str {
        self.name
    }

    pub(in crate::store::redis) fn arg(mut self, argument: impl AsRef<[u8]>) -> Self {
        self.push(argument.as_ref());
        self
    }

    /// One argument, in parts.
    pub(in crate::store::redis) fn joined(mut self, parts: [&str; 2]) -> Self {
        self.words += 1;
        let bytes = parts[0].len() + parts[1].len();
        self.arguments.reserve(bytes + LENGTH_LINE_BYTES);
        push_line(&mut self.arguments, b'$', bytes);
        parts.iter().for_each(|part| self.arguments.extend_from_slice(part.as_bytes()));
        self.arguments.extend_from_slice(b"\r\n");
        self
    }

    /// An argument that is a number.
    pub(in crate::store::redis) fn number(self, number: u64) -> Self {
        self.arg(digits(number, &mut [0; DIGITS_MAX]))
    }

    pub(in crate::store::redis) fn args<A: AsRef<[u8]>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        for argument in arguments {
            self.push(argument.as_ref());
        }
        self
    }

    fn push(&mut self, argument: &[u8]) {
        self.words += 1;
        self.arguments.reserve(argument.len() + LENGTH_LINE_BYTES);
        push_bulk(&mut self.arguments, argument);
    }

    /// Leaves an argument out, which stands here when the command is sent.
    pub(in crate::store::redis) fn gap(mut self) -> Self {
        self.words += 1;
        self.gap = Some(self.arguments.len());
        self
    }

    /// The same command under another name, with `first` in place of its first argument.
    pub(in crate::store::redis) fn renamed(&self, name: &'static str, first: &[u8]) -> Self {
        let mut arguments = Vec::with_capacity(self.arguments.len() + first.len());
        push_bulk(&mut arguments, first);
        let replaced = first_bulk(&self.arguments);
        let gap = self.gap.map(|gap| gap - replaced + arguments.len());
        arguments.extend_from_slice(&self.arguments[replaced..]);
        Self { name, words: self.words, arguments, gap }
    }

    pub(in crate::store::redis) fn len(&self) -> usize {
        self.arguments.len() + self.name.len() + 32
    }

    /// Appends the bytes to be sent.
    pub(in crate::store::redis) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_with(b"", out);
    }

    /// Appends the bytes to be sent, with this argument in the gap, if there is one.
    pub(in crate::store::redis) fn encode_with(&self, in_gap: &[u8], out: &mut Vec<u8>) {
        out.reserve(self.len());
        push_line(out, b'*', self.words);
        push_bulk(out, self.name.as_bytes());
        let (first, rest) = self.arguments.split_at(self.gap.unwrap_or_default());
        out.extend_from_slice(first);
        if self.gap.is_some() {
            push_bulk(out, in_gap);
        }
        out.extend_from_slice(rest);
    }
}

/// How many bytes the first bulk string takes.
fn first_bulk(arguments: &[u8]) -> usize {
    let line = arguments.iter().take_while(|byte| **byte != b'\r');
    let length = line.skip(1).fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    let digits = arguments.iter().position(|byte| *byte == b'\r').unwrap_or_default();
    if arguments.is_empty() { 0 } else { digits + 2 + length + 2 }
}

fn push_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    push_line(out, b'$', bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Enough for every `u64`.
const DIGITS_MAX: usize = 20;

/// The number in decimal. Not `write!`: formatting showed in the profile of a hit.
fn digits(mut number: u64, buffer: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut at = DIGITS_MAX;
    loop {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &buffer[at..];
        }
    }
}

fn push_line(out: &mut Vec<u8>, kind: u8, number: usize) {
    out.push(kind);
    out.extend_from_slice(digits(number as u64, &mut [0; DIGITS_MAX]));
    out.extend_from_slice(b"\r\n");
}

/// Tells the name only: arguments are keys and values, which must not get into logs.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Command({})", self.name)
    }
}
