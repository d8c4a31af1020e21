//! The scripts of several partitions, each sent by hand: three partitions on one server.

use ::redis::Value;

use super::*;
use crate::store::redis::layout::Layout;
use crate::store::redis::scripts::{self, Script};

on_every_server! {
    a_home_leads_to_the_partitions_that_have_registered
    a_registration_is_refused_as_a_fill_is
    a_registration_changes_its_mark
    a_visit_fences_where_the_name_is_not_at_home
    a_membership_stays_while_something_depends_on_it_elsewhere
    a_mark_is_settled_by_the_visit_that_met_it_alone
    a_mark_is_not_settled_in_another_incarnation
    a_member_with_a_mark_is_not_reaped
    a_mark_is_not_reaped_by_its_home_alone
    who_looks_for_dead_marks_fences_their_name
    who_asks_for_members_fences_their_name
    a_fill_waits_until_its_partition_has_adopted_the_home
    an_adoption_compares_what_it_has_read
    a_home_is_complete_until_its_clock_is_lost
    what_a_home_noted_is_followed
    a_partition_lists_all_names_of_its_members
    a_write_and_a_page_tell_what_they_have_met
}

/// As often as a test likes: what is stored ends before the test does.
const RETENTION_MS: &str = "60000";
const TTL_MS: &str = "600000";

struct Partitions {
    raw: ::redis::aio::MultiplexedConnection,
    layouts: [Layout; 3],
}

/// What a load knows of a clock.
#[derive(Clone, Debug, PartialEq)]
struct Known {
    incarnation: String,
    seq: String,
}

/// The reply of a visit.
#[derive(Debug, PartialEq)]
struct Visited {
    removed: u64,
    known: Known,
    is_complete: bool,
    drained: Vec<String>,
    /// Name, mark, stamp.
    met: Vec<String>,
    kept: Vec<String>,
}

fn word(value: &Value) -> String {
    match value {
        Value::Int(number) => number.to_string(),
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).unwrap(),
        Value::SimpleString(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

fn words(value: &Value) -> Vec<String> {
    let Value::Array(items) = value else { panic!("{value:?}") };
    items.iter().map(word).collect()
}

impl Visited {
    /// Of the items behind the verdict of a write, or the cursor of a page.
    fn of(items: &[Value]) -> Self {
        let [removed, left, seq, _, _, incarnation, is_complete, drained, met, kept, _] = items else {
            panic!("{items:?}")
        };
        assert!(words(left).is_empty());
        Self {
            removed: words(removed)[0].parse().unwrap(),
            known: Known { incarnation: word(incarnation), seq: word(seq) },
            is_complete: word(is_complete) == "1",
            drained: words(drained),
            met: words(met),
            kept: words(kept),
        }
    }

    /// The number of the other partition, and the stamp, of the only mark that was met.
    fn mark(&self) -> (&str, &str) {
        let [_, mark, stamp] = &self.met[..] else { panic!("{self:?}") };
        (mark.strip_prefix('~').unwrap(), stamp)
    }
}

impl Partitions {
    async fn of(rig: &Rig) -> Self {
        let layouts = [0, 1, 2].map(|number| Layout::of_partition(rig.namespace(), number));
        Self { raw: rig.raw().await, layouts }
    }

    async fn eval(&mut self, at: usize, script: &Script, keys: &[String], args: &[&[u8]]) -> Value {
        let layout = &self.layouts[at];
        let mut eval = ::redis::cmd("EVAL");
        eval.arg(script.source).arg(keys.len() + 1).arg(layout.declared()).arg(keys);
        eval.arg(layout.root()).arg("!seq").arg(args).query_async(&mut self.raw).await.unwrap()
    }

    async fn run(&mut self, at: usize, script: &Script, args: &[&str]) -> Value {
        let args: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        self.eval(at, script, &[], &args).await
    }

    async fn command(&mut self, at: usize, words: &[&str]) -> Value {
        let mut command = ::redis::cmd(words[0]);
        command.arg(format!("{}{}", self.layouts[at].root(), words[1])).arg(&words[2..]);
        command.query_async(&mut self.raw).await.unwrap()
    }

    async fn known(&mut self, at: usize) -> Known {
        let state = words(&self.run(at, &scripts::STATE, &[]).await);
        Known { incarnation: state[0].clone(), seq: state[1].clone() }
    }

    async fn register(&mut self, at: usize, of: usize, known: &Known, names: &[&str]) -> String {
        self.register_for(at, of, known, names, TTL_MS).await
    }

    async fn register_for(&mut self, at: usize, of: usize, known: &Known, names: &[&str], ttl_ms: &str) -> String {
        let of = of.to_string();
        let args = [&[&*of, &known.incarnation, &known.seq, ttl_ms, RETENTION_MS, ""], names].concat();
        words(&self.run(at, &scripts::REGISTER, &args).await)[0].clone()
    }

    async fn store(
        &mut self,
        script: &Script,
        at: usize,
        key: &str,
        known: &Known,
        names: &[&str],
        homes: &[&str],
    ) -> Value {
        let layout = &self.layouts[at];
        let keys = [layout.value(key), layout.lease(key)];
        let (parsed, now_ms) = (
            parse(names),
            (word(&self.command(at, &["ZSCORE", "~clock", "!seq"]).await).parse::<u64>().unwrap() / 1_000).to_string(),
        );
        let (value, count) = (crate::store::conformance::rig::stored(&parsed, b"v"), homes.len().to_string());
        let mut args: Vec<&[u8]> =
            vec![key.as_bytes(), b"token", known.incarnation.as_bytes(), known.seq.as_bytes(), now_ms.as_bytes()];
        args.extend([RETENTION_MS.as_bytes(), TTL_MS.as_bytes(), b"0", &value]);
        args.extend(parsed.iter().map(|name| name.as_str().as_bytes()));
        args.extend(homes.iter().map(|home| home.as_bytes()));
        args.push(count.as_bytes());
        if std::ptr::eq(script, &scripts::WRITE) {
            args.push(b"");
        }
        self.eval(at, script, &keys, &args).await
    }

    async fn fill(&mut self, at: usize, key: &str, known: &Known, names: &[&str], homes: &[&str]) -> String {
        word(&self.store(&scripts::FILL, at, key, known, names, homes).await)
    }

    async fn stored(&mut self, at: usize, key: &str, names: &[&str]) {
        let known = self.known(at).await;
        assert_eq!(self.fill(at, key, &known, names, &[]).await, "stored");
    }

    async fn visit(&mut self, at: usize, names: &[&str]) -> Visited {
        let args = [&[RETENTION_MS, ""], names].concat();
        let Value::Array(items) = self.run(at, &scripts::INVALIDATE, &args).await else { panic!() };
        Visited::of(&items)
    }

    /// Of a mark of `tT` that a visit of its home has met.
    async fn settle(&mut self, at: usize, by: &Visited, name: &str) -> String {
        let ((of, stamp), Known { incarnation, seq }) = (by.mark(), &by.known);
        word(&self.run(at, &scripts::SETTLE, &[name, of, stamp, incarnation, seq]).await)
    }

    async fn is_there(&mut self, at: usize, key: &str) -> bool {
        self.command(at, &["EXISTS", key]).await == Value::Int(1)
    }

    async fn lose_clock(&mut self, at: usize) {
        self.command(at, &["DEL", "~clock"]).await;
    }

    /// The partition `of` has adopted `home` as it is.
    async fn adopt(&mut self, of: usize, home: usize) -> String {
        let (own, home_known) = (self.known(of).await, self.known(home).await);
        let args = [&*own.incarnation, &home.to_string(), &home_known.incarnation, ""].map(str::to_owned);
        word(&self.run(of, &scripts::ADOPT, &args.each_ref().map(|arg| &**arg)).await);
        format!("!known:{home}:{}", home_known.incarnation)
    }
}

async fn a_home_leads_to_the_partitions_that_have_registered(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let known = on.known(0).await;
    assert_eq!(on.register(0, 1, &known, &["tT"]).await, "registered");
    on.stored(1, "x", &["tT"]).await;
    on.stored(0, "own", &["tT"]).await;
    let home = on.visit(0, &["tT"]).await;
    assert_eq!((home.removed, home.mark().0, &home.met[0][..]), (1, "1", "tT"));
    assert!(home.known.seq > known.seq);
    assert_eq!(on.visit(1, &["tT"]).await.removed, 1);
    assert!(!on.is_there(1, "x").await);
}

/// ★ Else what is stored after it would be from before an invalidation that has not met its mark.
async fn a_registration_is_refused_as_a_fill_is(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let known = on.known(0).await;
    on.visit(0, &["tT"]).await;
    assert_eq!(on.register(0, 1, &known, &["tS", "tT"]).await, "fenced");
    let known = on.known(0).await;
    let page = [RETENTION_MS, "values", "none", "0", "100"];
    on.run(0, &scripts::SWEEP, &page).await;
    assert_eq!(on.register(0, 1, &known, &["tS"]).await, "floor");
    let known = on.known(0).await;
    on.run(0, &scripts::CLOSE, &[RETENTION_MS, "", "tS", "op", "60000", "100"]).await;
    let closed = on.known(0).await;
    assert_eq!(on.register(0, 1, &closed, &["tS"]).await, "closed");
    on.lose_clock(0).await;
    assert_eq!(on.register(0, 1, &known, &["tU"]).await, "incarnation");
    assert_eq!(on.visit(0, &["tS", "tT", "tU"]).await.met, Vec::<String>::new(), "nothing is noted of what is refused");
}

/// ★ Else an operation would take the mark away of what has registered since it met the mark.
async fn a_registration_changes_its_mark(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let mut stamps = Vec::new();
    for ttl_ms in [TTL_MS, TTL_MS, "1"] {
        let known = on.known(0).await;
        assert_eq!(on.register_for(0, 1, &known, &["tT"], ttl_ms).await, "registered");
        stamps.push(word(&on.command(0, &["ZSCORE", "~index:tT", "~1"]).await).parse::<u64>().unwrap());
    }
    assert!(stamps.is_sorted_by(|one, next| one < next), "{stamps:?}");
}

/// ★ The load has registered before the invalidation began, and its fill comes after the visit.
async fn a_visit_fences_where_the_name_is_not_at_home(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let lease = on.known(1).await;
    on.visit(1, &["tT"]).await;
    assert_eq!(on.fill(1, "x", &lease, &["tT"], &[]).await, "fenced");
    assert_eq!(on.fill(1, "x", &lease, &["tS"], &[]).await, "stored");
}

/// ★ It is the record of what is still to be visited: a client may die here.
async fn a_membership_stays_while_something_depends_on_it_elsewhere(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    on.stored(1, "x", &["tS", "tT"]).await;
    let known = on.known(1).await;
    assert_eq!(on.register(1, 2, &known, &["kx"]).await, "registered");
    on.stored(2, "y", &["kx"]).await;
    for removed in [1, 0] {
        let visited = on.visit(1, &["tT"]).await;
        assert_eq!((visited.removed, visited.mark().0, &*visited.met[0]), (removed, "2", "kx"));
        assert_eq!(visited.kept, ["tT"]);
    }
    assert_eq!(on.visit(2, &["kx"]).await.removed, 1);
    let visited = on.visit(1, &["kx"]).await;
    assert_eq!(on.settle(1, &visited, "kx").await, "1");
    let visited = on.visit(1, &["tT", "tS"]).await;
    assert_eq!((visited.met, visited.kept), (vec![], vec![]));
}

/// ★ Who fenced the name later has met what this one has not.
async fn a_mark_is_settled_by_the_visit_that_met_it_alone(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let known = on.known(0).await;
    on.register(0, 1, &known, &["tT"]).await;
    let (first, second) = (on.visit(0, &["tT"]).await, on.visit(0, &["tT"]).await);
    assert_eq!(first.met, second.met);
    assert_eq!(on.settle(0, &first, "tT").await, "0", "fenced since");
    let known = on.known(0).await;
    on.register(0, 1, &known, &["tT"]).await;
    assert_eq!(on.settle(0, &second, "tT").await, "0", "registered since");
    let third = on.visit(0, &["tT"]).await;
    assert_eq!(on.settle(0, &third, "tT").await, "1");
    assert_eq!(on.visit(0, &["tT"]).await.met, Vec::<String>::new());
    assert_eq!(on.command(0, &["ZCARD", "~due"]).await, Value::Int(0));
}

async fn a_mark_is_not_settled_in_another_incarnation(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let known = on.known(0).await;
    on.register(0, 1, &known, &["tT"]).await;
    let visited = on.visit(0, &["tT"]).await;
    on.lose_clock(0).await;
    on.known(0).await;
    on.command(0, &["ZADD", "~clock", &visited.known.seq, "tT"]).await;
    assert_eq!(on.settle(0, &visited, "tT").await, "0");
}

/// Returns the names that have dead marks.
async fn reap(on: &mut Partitions, at: usize) -> Vec<String> {
    words(&on.run(at, &scripts::REAP, &[RETENTION_MS, "0", "1000"]).await).split_off(1)
}

/// ★ What depends on it elsewhere is reached through it alone.
async fn a_member_with_a_mark_is_not_reaped(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    for key in ["x", "alone"] {
        on.stored(1, key, &["tT"]).await;
        on.command(1, &["DEL", key]).await;
        on.command(1, &["ZADD", "~index:tT", "1", key]).await;
    }
    let known = on.known(1).await;
    on.register(1, 2, &known, &["kx"]).await;
    on.command(1, &["ZADD", "~index:kx", "1", "~2"]).await;
    on.command(1, &["ZADD", "~due", "1", "tT", "1", "kx"]).await;
    reap(&mut on, 1).await;
    assert_eq!(words(&on.command(1, &["ZRANGE", "~index:tT", "0", "-1"]).await), ["x"]);
}

/// ★ The home does not know whether the partition has members.
async fn a_mark_is_not_reaped_by_its_home_alone(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let known = on.known(0).await;
    on.register(0, 1, &known, &["tT"]).await;
    on.command(0, &["ZADD", "~index:tT", "1", "~1"]).await;
    on.command(0, &["ZADD", "~due", "1", "tT"]).await;
    assert_eq!(reap(&mut on, 0).await, ["tT"], "told to who can ask");
    assert!(reap(&mut on, 0).await.is_empty(), "and once");
    assert_eq!(on.visit(0, &["tT"]).await.mark().0, "1");
}

/// ★ Else a load that has registered, and has met the mark as it was, would lose it.
async fn who_looks_for_dead_marks_fences_their_name(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let known = on.known(0).await;
    for name in ["tT", "tS"] {
        on.register(0, 1, &known, &[name]).await;
    }
    let alive = words(&on.run(0, &scripts::LOOK, &[RETENTION_MS, "tT"]).await);
    assert_eq!(alive.len(), 2, "its time has not passed: {alive:?}");
    assert_eq!(on.register(0, 1, &known, &["tT"]).await, "registered");
    on.command(0, &["ZADD", "~index:tT", "1", "~1"]).await;
    let dead = words(&on.run(0, &scripts::LOOK, &[RETENTION_MS, "tT"]).await);
    assert_eq!(dead[2..], ["1", "1"]);
    assert_eq!(on.register(0, 2, &known, &["tT"]).await, "fenced");
    let settle = ["tT", "1", "1", &dead[0], &dead[1]];
    assert_eq!(word(&on.run(0, &scripts::SETTLE, &settle).await), "1");
}

/// ★ Else the fill of a load that has registered would come after the answer.
async fn who_asks_for_members_fences_their_name(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    on.stored(1, "x", &["tT"]).await;
    let lease = on.known(1).await;
    assert_eq!(words(&on.run(1, &scripts::ASK, &[RETENTION_MS, "tT", "tS"]).await), ["1", "0"]);
    assert_eq!(on.fill(1, "y", &lease, &["tS"], &[]).await, "fenced");
}

/// ★ What it stores is listed at the home by who comes after the adoption, and by nobody before.
async fn a_fill_waits_until_its_partition_has_adopted_the_home(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let (lease, home) = (on.known(1).await, on.known(0).await);
    let registered = format!("!known:0:{}", home.incarnation);
    assert_eq!(on.fill(1, "x", &lease, &["tT"], &[&registered]).await, "home");
    let written = on.store(&scripts::WRITE, 1, "x", &lease, &["tT"], &[&registered]).await;
    let Value::Array(written) = written else { panic!() };
    assert_eq!((word(&written[0]), on.is_there(1, "x").await), ("home".into(), false));
    assert_eq!(on.adopt(1, 0).await, registered);
    let lease = on.known(1).await;
    assert_eq!(on.fill(1, "x", &lease, &["tT"], &[&registered]).await, "stored");
    on.lose_clock(0).await;
    let registered = format!("!known:0:{}", on.known(0).await.incarnation);
    assert_eq!(on.fill(1, "x", &lease, &["tT"], &[&registered]).await, "home");
    on.lose_clock(1).await;
    let lease = on.known(1).await;
    assert_eq!(on.fill(1, "x", &lease, &["tT"], &[&registered]).await, "home", "lost with the clock");
}

async fn an_adoption_compares_what_it_has_read(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let own = on.known(1).await.incarnation;
    let mut outcomes = Vec::new();
    for [incarnation, own, adopted] in [["i", "another", ""], ["i", &own, "another"], ["i", &own, ""], ["j", &own, "i"]]
    {
        outcomes.push(word(&on.run(1, &scripts::ADOPT, &[own, "0", incarnation, adopted]).await));
    }
    assert_eq!(outcomes, ["0", "0", "1", "1"]);
    assert_eq!(words(&on.run(1, &scripts::STATE, &[]).await)[3..], ["0:j"]);
}

/// ★ What was registered before the loss is not followed: the names are visited everywhere.
async fn a_home_is_complete_until_its_clock_is_lost(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let known = on.known(0).await;
    on.stored(0, "a", &["tT"]).await;
    let before = on.visit(0, &["tT", "tS"]).await;
    assert_eq!((before.is_complete, before.drained), (false, ["ka", "tT", "tS"].map(String::from).to_vec()));
    let complete = |known: &Known| ["0", &*known.incarnation, "0", RETENTION_MS].map(String::from);
    let args = complete(&known);
    assert_eq!(word(&on.run(0, &scripts::NOTE_LISTED, &args.each_ref().map(|arg| &**arg)).await), "1");
    on.stored(0, "a", &["tT"]).await;
    let after = on.visit(0, &["tT", "tS"]).await;
    assert_eq!((after.is_complete, &after.known.incarnation), (true, &known.incarnation));
    assert_eq!(after.drained, ["tT", "tS"], "no other name has a mark");
    on.lose_clock(0).await;
    let lost = on.visit(0, &["tT"]).await;
    assert!(!lost.is_complete && lost.known.incarnation != known.incarnation);
    assert_eq!(word(&on.run(0, &scripts::NOTE_LISTED, &args.each_ref().map(|arg| &**arg)).await), "0");
    assert!(!on.visit(0, &["tT"]).await.is_complete, "it was another clock that was complete");
}

async fn what_a_home_noted_is_followed(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let known = on.known(0).await;
    let listed = |incarnation| ["2", incarnation, "1", RETENTION_MS, "tT", "tS"];
    assert_eq!(word(&on.run(0, &scripts::NOTE_LISTED, &listed(&known.incarnation)).await), "1");
    let visited = on.visit(0, &["tT"]).await;
    assert_eq!(visited.mark().0, "2");
    on.lose_clock(0).await;
    on.command(0, &["DEL", "~index:tT"]).await;
    assert_eq!(word(&on.run(0, &scripts::NOTE_LISTED, &listed(&known.incarnation)).await), "0");
    assert_eq!(on.visit(0, &["tT"]).await.met, Vec::<String>::new());
}

async fn a_partition_lists_all_names_of_its_members(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    let names: Vec<String> = (0..500).map(|at| format!("tT{at}")).collect();
    for names in names.chunks(100) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        on.stored(1, names[0], &names).await;
    }
    let (mut cursor, mut listed) = ("0".to_owned(), std::collections::BTreeSet::new());
    loop {
        let mut page = words(&on.run(1, &scripts::LIST, &[&cursor, "100"]).await);
        listed.extend(page.split_off(1));
        cursor = page.remove(0);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(listed, names.into_iter().collect());
}

async fn a_write_and_a_page_tell_what_they_have_met(rig: Rig) {
    let mut on = Partitions::of(&rig).await;
    on.stored(1, "x", &["tT"]).await;
    let known = on.known(1).await;
    on.register(1, 2, &known, &["kx"]).await;
    let Value::Array(written) = on.store(&scripts::WRITE, 1, "x", &known, &["tT"], &[]).await else { panic!() };
    let write = Visited::of(&written[1..]);
    assert_eq!((word(&written[0]), write.removed, write.mark().0), ("stored".into(), 1, "2"));
    let glob = on.layouts[1].values_matching("x");
    let Value::Array(page) = on.run(1, &scripts::SWEEP, &[RETENTION_MS, "values", &glob, "0", "10000000"]).await else {
        panic!()
    };
    let page = Visited::of(&page[1..]);
    assert_eq!((page.removed, page.mark().0), (1, "2"));
}
