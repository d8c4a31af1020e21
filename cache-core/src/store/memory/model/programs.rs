//! The programs. Kept small: what matters is who overtakes whom, not how many.

use super::process::Process::{Around, Call, Clear, Invalidate, Overlap, Put, PutAround, Refresh, Sweep};
use super::{PROGRAM, Program};

pub(super) const PROGRAMS: &[Program] = &[
    Program {
        name: "a tag and its cascade",
        processes: &[Call("c"), Call("c"), Invalidate("t")],
        expiries: 1,
        ..PROGRAM
    },
    Program {
        name: "a key and its cascade",
        stored: &["c"],
        processes: &[Call("c"), Call("b"), Invalidate("k")],
        expiries: 2,
        ..PROGRAM
    },
    Program {
        name: "refresh between two chunks",
        stored: &["a", "z"],
        processes: &[Call("y"), Refresh("z"), Invalidate("t")],
        inherits: true,
        tag_follows_data: true,
        expiries: 1,
        ..PROGRAM
    },
    Program {
        name: "tags that change with the data",
        stored: &["c"],
        processes: &[Call("c"), Refresh("b"), Refresh("a"), Invalidate("t")],
        inherits: true,
        tag_follows_data: true,
        ..PROGRAM
    },
    Program {
        name: "a crashed invalidation",
        stored: &["c"],
        processes: &[Call("c"), Invalidate("t"), Invalidate("t")],
        crashes: 1,
        ..PROGRAM
    },
    Program {
        name: "more keys than a chunk has budget for",
        stored: &["a", "z"],
        processes: &[Call("y"), Refresh("z"), Invalidate("kk")],
        expiries: 1,
        memberships_per_visit: 1,
        ..PROGRAM
    },
    Program {
        name: "an entry with many names, stored again while they are left",
        stored: &["c"],
        processes: &[Call("c"), Invalidate("t"), Invalidate("k")],
        inherits: true,
        memberships_per_visit: 1,
        ..PROGRAM
    },
    Program {
        name: "dropped fences",
        stored: &["c"],
        processes: &[Call("c"), Call("b"), Invalidate("t")],
        fence_drops: 1,
        expiries: 1,
        ..PROGRAM
    },
    Program { name: "a lost clock", processes: &[Call("c"), Call("b"), Invalidate("t")], clock_losses: 1, ..PROGRAM },
    Program {
        name: "entries that expire",
        stored: &["c"],
        processes: &[Call("c"), Invalidate("t")],
        expiries: 3,
        ..PROGRAM
    },
    Program {
        name: "dead members with dependents",
        stored: &["c"],
        processes: &[Call("c"), Invalidate("t")],
        expiries: 2,
        retentions: 2,
        ..PROGRAM
    },
    Program {
        name: "dead members and loads in flight",
        stored: &["a"],
        processes: &[Call("c"), Call("y"), Invalidate("t")],
        expiries: 1,
        retentions: 1,
        ..PROGRAM
    },
    Program {
        name: "a clock that is set ahead and back",
        stored: &["c"],
        processes: &[Call("y"), Invalidate("t")],
        steps_ahead: 1,
        reaped_per_operation: 1,
        ..PROGRAM
    },
    Program {
        name: "a clock that is set ahead and back, and a short-lived member",
        stored: &["c"],
        processes: &[Call("y"), Invalidate("t")],
        expiries: 1,
        retentions: 1,
        steps_ahead: 1,
        reaped_per_operation: 1,
        ..PROGRAM
    },
    Program {
        name: "a clock that is set ahead and back during a load",
        stored: &["a"],
        processes: &[Call("b"), Call("y"), Invalidate("t")],
        steps_ahead: 1,
        ..PROGRAM
    },
    Program {
        name: "eviction",
        stored: &["b"],
        processes: &[Call("c"), Call("b"), Invalidate("t")],
        evictions: 1,
        expiries: 1,
        ..PROGRAM
    },
    Program {
        name: "two writers of a key",
        stored: &["b"],
        processes: &[Call("c"), Put("a"), Put("a")],
        expiries: 1,
        ..PROGRAM
    },
    Program {
        name: "a write of what depends on a key",
        stored: &["a"],
        processes: &[Call("w"), Put("w"), Invalidate("k")],
        expiries: 1,
        evictions: 1,
        ..PROGRAM
    },
    Program {
        name: "a pattern",
        stored: &["b"],
        processes: &[Call("c"), Call("a"), Sweep("[a]")],
        expiries: 2,
        ..PROGRAM
    },
    Program {
        name: "a change around which a tag is closed",
        stored: &["b"],
        processes: &[Call("c"), Call("b"), Around("t")],
        expiries: 1,
        ..PROGRAM
    },
    Program {
        name: "a change around which keys are closed",
        stored: &["c"],
        processes: &[Call("c"), Refresh("z"), Around("kk")],
        inherits: true,
        mark_ends: 1,
        expiries: 1,
        ..PROGRAM
    },
    Program {
        name: "two changes around which a tag is closed",
        stored: &["b"],
        processes: &[Call("b"), Around("t"), Around("t")],
        crashes: 1,
        ..PROGRAM
    },
    Program {
        name: "a change around which a key is closed, and an invalidation of it",
        stored: &["b"],
        processes: &[Call("b"), Around("k"), Invalidate("t")],
        fence_drops: 1,
        ..PROGRAM
    },
    Program {
        name: "a change whose process dies while a tag is closed",
        stored: &["b"],
        processes: &[Call("b"), Call("y"), Around("t")],
        crashes: 1,
        mark_ends: 1,
        ..PROGRAM
    },
    Program {
        name: "closed names on a clock that is lost",
        stored: &["b"],
        processes: &[Call("c"), Around("t")],
        clock_losses: 1,
        crashes: 1,
        ..PROGRAM
    },
    Program {
        name: "a write of what depends on a closed key",
        stored: &["a"],
        processes: &[PutAround("w"), Around("k")],
        ..PROGRAM
    },
    Program {
        name: "two writers that close their key",
        stored: &["b"],
        processes: &[Call("b"), PutAround("a"), PutAround("a")],
        crashes: 1,
        mark_ends: 1,
        ..PROGRAM
    },
    Program {
        name: "a change around which a tag is closed, and what declares what falls with it",
        stored: &["b"],
        processes: &[Call("v"), Call("b"), Around("t")],
        expiries: 1,
        rests_on_marks: true,
        ..PROGRAM
    },
    Program {
        name: "a change around which a tag is closed, and two levels of what declares",
        stored: &["b", "v"],
        processes: &[Call("u"), Call("v"), Around("t")],
        rests_on_marks: true,
        ..PROGRAM
    },
    Program {
        name: "a change whose process dies, and what declares what falls with it",
        stored: &["b", "v"],
        processes: &[Call("u"), Around("t")],
        expiries: 1,
        crashes: 1,
        mark_ends: 1,
        rests_on_marks: true,
        ..PROGRAM
    },
    Program {
        name: "a closing that a write of something else goes on with",
        stored: &["b", "v"],
        processes: &[Call("u"), Around("t"), Put("w")],
        rests_on_marks: true,
        ..PROGRAM
    },
    Program {
        name: "a change that reaches more than there is room for",
        stored: &["b"],
        processes: &[Call("v"), Call("b"), Around("t")],
        crashes: 1,
        mark_ends: 1,
        rests_on_marks: true,
        reached_max: 1,
        ..PROGRAM
    },
    Program {
        name: "two changes around which a key is closed, and what declares what falls with it",
        stored: &["b"],
        processes: &[Call("v"), Around("k"), Overlap("k")],
        ..PROGRAM
    },
    Program {
        name: "two changes of which the second closes what the first has reached",
        stored: &["b"],
        processes: &[Call("v"), Around("t"), Overlap("k")],
        reached_max: 3,
        ..PROGRAM
    },
    Program { name: "clear", stored: &["b"], processes: &[Call("c"), Call("y"), Clear], expiries: 1, ..PROGRAM },
    Program {
        name: "resent commands",
        stored: &["b"],
        processes: &[Call("c"), Put("a"), Invalidate("t")],
        resends: 1,
        ..PROGRAM
    },
];
