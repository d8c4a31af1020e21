//! The calls of a history, and their bytes on the way from a worker to the conductor.

use serde::{Deserialize, Serialize};

use crate::names::{Kind, Name};

/// A part of a cached value says by itself what it was made from and when: the entry that it was
/// loaded for, who loaded it, when that load began, and the version of its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Fields", try_from = "Fields")]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) at: u16,
    /// The process.
    pub(crate) by: u16,
    /// When the load began; [`NO_LOAD`] of what was put.
    pub(crate) loaded: u64,
    /// 0 if the load did not read a row itself.
    pub(crate) version: u64,
}

/// A part in an entry, without the names of its fields: most of a hit is to read it.
type Fields = (u8, u16, u16, u64, u64);

impl From<Part> for Fields {
    fn from(part: Part) -> Self {
        (part.kind as u8, part.at, part.by, part.loaded, part.version)
    }
}

impl TryFrom<Fields> for Part {
    type Error = &'static str;

    fn try_from((kind, at, by, loaded, version): Fields) -> Result<Self, Self::Error> {
        Ok(Self { kind: Kind::of(kind).ok_or("no such kind")?, at, by, loaded, version })
    }
}

/// A value that was put has no load: it is judged by its version alone.
pub(crate) const NO_LOAD: u64 = u64::MAX;

/// A read: its value, and all that the value was made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) process: u16,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// It was served a copy of its process.
    pub(crate) is_copy: bool,
    pub(crate) parts: Vec<Part>,
}

/// A change from which on something is promised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) process: u16,
    pub(crate) how: How,
    pub(crate) start: u64,
    /// The promise is to reads that begin after this.
    pub(crate) end: u64,
    /// Loads that began before this are not served any more. 0: any load may be.
    pub(crate) since: u64,
    /// To whom.
    pub(crate) scope: Scope,
    /// The row that was committed before, and its version: older ones are not served any more.
    pub(crate) committed: Option<(u16, u64)>,
    pub(crate) names: Vec<Name>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    Everybody,
    /// The invalidation failed: its own process goes past the cache until it is made good.
    OwnProcess,
}

macro_rules! ways {
    ($($name:ident = $text:literal,)*) => {
        /// How something is changed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum How { $($name,)* }

        impl How {
            pub(crate) const ALL: &[Self] = &[$(Self::$name,)*];

            pub(crate) fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

ways! {
    Tag = "invalidate_tag",
    Keys = "#[invalidates(keys)]",
    Around = "#[invalidates(around)]",
    WriteThrough = "#[write_through]",
    WriteAround = "#[write_through(around)]",
    Put = "put",
    Close = "close",
    Commit = "commit of closed names",
    Open = "open",
    Transaction = "#[invalidates(after)]",
    Suffix = "pattern of a row",
    Prefix = "pattern of a kind",
    Clear = "clear",
    Key = "invalidate_key",
    Group = "tag of a group",
}

/// A call whose body takes no time: what it takes is what the cache costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) process: u16,
    /// Where all that is asked for is at home.
    pub(crate) partition: u16,
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) came: Came,
}

/// What came of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It was a hit.
    Hit,
    /// It was loaded.
    Loaded,
    /// The invalidation is done.
    Invalidated,
    /// The invalidation has failed.
    Owed,
}

impl Came {
    const ALL: [Self; 4] = [Self::Hit, Self::Loaded, Self::Invalidated, Self::Owed];
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read(Read),
    Change(Change),
    Probe(Probe),
}

/// What a worker has recorded since it last said so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// All calls of the process that ended before this are told.
    pub(crate) complete_until: u64,
    /// No call that is still under way began before this.
    pub(crate) oldest_open: u64,
    /// When the process owed nothing of what has been told: a failed invalidation is made good
    /// then. 0: it owes something.
    pub(crate) settled: u64,
    pub(crate) calls: Vec<Call>,
}

impl Batch {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.complete_until.to_le_bytes());
        out.extend(self.oldest_open.to_le_bytes());
        out.extend(self.settled.to_le_bytes());
        for call in &self.calls {
            match call {
                Call::Read(read) => encode_read(read, out),
                Call::Change(change) => encode_change(change, out),
                Call::Probe(probe) => encode_probe(probe, out),
            }
        }
    }

    /// `None`: these are not the bytes of a batch.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(bytes);
        let (complete_until, oldest_open, settled) = (bytes.u64()?, bytes.u64()?, bytes.u64()?);
        let mut batch = Self { complete_until, oldest_open, settled, calls: Vec::new() };
        while !bytes.0.is_empty() {
            batch.calls.push(match bytes.u8()? {
                0 => Call::Read(bytes.read()?),
                1 => Call::Change(bytes.change()?),
                _ => Call::Probe(bytes.probe()?),
            });
        }
        Some(batch)
    }
}

fn encode_read(read: &Read, out: &mut Vec<u8>) {
    out.push(0);
    out.extend(read.process.to_le_bytes());
    out.extend(read.start.to_le_bytes());
    out.extend(read.end.to_le_bytes());
    out.extend([u8::from(read.is_copy), read.parts.len() as u8]);
    for part in &read.parts {
        out.push(part.kind as u8);
        out.extend(part.at.to_le_bytes());
        out.extend(part.by.to_le_bytes());
        out.extend(part.loaded.to_le_bytes());
        out.extend(part.version.to_le_bytes());
    }
}

fn encode_change(change: &Change, out: &mut Vec<u8>) {
    out.push(1);
    out.extend(change.process.to_le_bytes());
    out.push(change.how as u8);
    for time in [change.start, change.end, change.since] {
        out.extend(time.to_le_bytes());
    }
    out.push(u8::from(change.scope == Scope::OwnProcess));
    let (row, version) = change.committed.unwrap_or((u16::MAX, 0));
    out.extend(row.to_le_bytes());
    out.extend(version.to_le_bytes());
    out.extend((change.names.len() as u16).to_le_bytes());
    for name in &change.names {
        out.extend((name.index() as u16).to_le_bytes());
    }
}

fn encode_probe(probe: &Probe, out: &mut Vec<u8>) {
    out.push(2);
    out.extend(probe.process.to_le_bytes());
    out.extend(probe.partition.to_le_bytes());
    out.extend(probe.start.to_le_bytes());
    out.extend(probe.end.to_le_bytes());
    out.push(probe.came as u8);
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn read(&mut self) -> Option<Read> {
        let (process, start, end, is_copy) = (self.u16()?, self.u64()?, self.u64()?, self.u8()? == 1);
        let count = self.u8()?;
        let parts = (0..count).map(|_| self.part()).collect::<Option<_>>()?;
        Some(Read { process, start, end, is_copy, parts })
    }

    fn part(&mut self) -> Option<Part> {
        let (kind, at, by) = (Kind::of(self.u8()?)?, self.u16()?, self.u16()?);
        Some(Part { kind, at, by, loaded: self.u64()?, version: self.u64()? })
    }

    fn probe(&mut self) -> Option<Probe> {
        let (process, partition, start, end) = (self.u16()?, self.u16()?, self.u64()?, self.u64()?);
        Some(Probe { process, partition, start, end, came: *Came::ALL.get(usize::from(self.u8()?))? })
    }

    fn change(&mut self) -> Option<Change> {
        let (process, how) = (self.u16()?, *How::ALL.get(usize::from(self.u8()?))?);
        let (start, end, since) = (self.u64()?, self.u64()?, self.u64()?);
        let scope = if self.u8()? == 1 { Scope::OwnProcess } else { Scope::Everybody };
        let (row, version) = (self.u16()?, self.u64()?);
        let committed = (row != u16::MAX).then_some((row, version));
        let count = self.u16()?;
        let names = (0..count).map(|_| Name::of(usize::from(self.u16()?))).collect::<Option<_>>()?;
        Some(Change { process, how, start, end, since, scope, committed, names })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_comes_back_from_its_bytes() {
        let part = Part { kind: Kind::Text, at: 3, by: 9, loaded: NO_LOAD, version: 1 << 40 };
        let read = Read { process: 7, start: 1, end: u64::MAX, is_copy: true, parts: vec![part, part] };
        let names = vec![Name::All, Name::Key(Kind::Text, 31), Name::Suffix(5)];
        let (scope, committed) = (Scope::OwnProcess, Some((31, 9)));
        let change = Change { process: 8, how: How::Group, start: 1, end: 2, since: 0, scope, committed, names };
        let probe = Probe { process: 9, partition: 15, start: 3, end: 4, came: Came::Owed };
        let calls = vec![Call::Read(read), Call::Change(change), Call::Probe(probe)];
        let batch = Batch { complete_until: 5, oldest_open: 6, settled: 7, calls };
        let mut bytes = Vec::new();
        batch.encode(&mut bytes);
        assert_eq!(Batch::decode(&bytes), Some(batch));
        assert_eq!(Batch::decode(&bytes[..bytes.len() - 1]), None);
    }
}
