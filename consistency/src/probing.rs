//! Calls that do nothing themselves: what they take is the cache's. Their keys are of one process,
//! so nobody else's load is waited for, and all keys of one call are at home in one partition, so a
//! call says how that partition is.

use std::sync::atomic::Ordering;

use cache_core::{CallResult, cached, observe};
use cache_tests::home_of;

use crate::link::OpenCall;
use crate::record::{Call, Came, Probe};
use crate::world::World;

/// What a call has inside.
const PARTS: usize = 3;

/// By which the keys of a call are at home in its partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seat {
    partition: u16,
    call: u32,
    parts: [u32; PARTS],
}

impl Seat {
    /// Of a process, in this one of so many partitions.
    fn in_partition(process: u16, partition: u16, partitions: u16) -> Self {
        let is_home = |key: &str| home_of(key, partitions) == partition;
        let mut salts = (0..).filter(|salt| is_home(probe_part::key(&process, salt).as_str()));
        let parts = std::array::from_fn(|_| salts.next().expect("there is no end to them"));
        let call = (0..).find(|salt| is_home(probe::key(&process, salt).as_str())).expect("there is no end to them");
        Self { partition, call, parts }
    }

    /// One in each of so many partitions.
    pub(crate) fn all(process: u16, partitions: u16) -> impl Iterator<Item = Self> {
        (0..partitions).map(move |partition| Self::in_partition(process, partition, partitions))
    }
}

/// It is loaded often, and what is inside lives long enough for a slow machine to have hits.
#[cached(prefix = "probe", ttl = "50ms", cache = world.cache, skip(world, parts))]
async fn probe(world: &World, process: u16, call: u32, parts: [u32; PARTS]) -> usize {
    let mut sum = 0;
    for part in parts {
        sum += probe_part(world, process, part).await;
    }
    let _ = call;
    sum
}

#[cached(prefix = "probe_part", ttl = "60s", cache = world.cache, skip(world))]
async fn probe_part(world: &World, process: u16, part: u32) -> usize {
    let (_, _, _) = (world, process, part);
    1
}

impl World {
    /// See [`Probe`].
    pub(crate) async fn probe_read(&self, seat: &Seat) {
        let (call, process) = (self.link.begin(), self.link.process());
        let (parts, log) = observe(probe(self, process, seat.call, seat.parts)).await;
        if parts != PARTS {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        let came = if log.count(CallResult::Hit) > 0 { Came::Hit } else { Came::Loaded };
        self.note_probe(call, seat.partition, came);
    }

    /// The same of an invalidation, which reaches nothing.
    pub(crate) async fn probe_invalidation(&self, partitions: u16) {
        let (call, tag) = (self.link.begin(), format!("probe:{}", self.link.process()));
        let done = self.cache.invalidate_tag(&*tag).await;
        let came = if done.is_ok() { Came::Invalidated } else { Came::Owed };
        self.note_probe(call, home_of(&tag, partitions), came);
    }

    fn note_probe(&self, call: OpenCall<'_>, partition: u16, came: Came) {
        let (process, start) = (self.link.process(), call.start);
        call.end(|end| Call::Probe(Probe { process, partition, start, end, came }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_partition_has_a_call_whose_keys_are_at_home_there() {
        for Seat { partition, call, parts } in Seat::all(7, 16) {
            assert_eq!(home_of(probe::key(&7, &call).as_str(), 16), partition);
            assert!(parts.iter().all(|part| home_of(probe_part::key(&7, part).as_str(), 16) == partition));
            assert!(parts[0] != parts[1] && parts[1] != parts[2]);
        }
    }
}
