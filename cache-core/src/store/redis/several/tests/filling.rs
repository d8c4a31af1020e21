//! Fills and writes whose foreign homes refuse or do not answer.

use super::*;

const CLOCK_LOST: FillReply = FillReply::Refused(Refusal::ForeignIncarnation);
/// Long enough for what begins in the background.
const SOON: Duration = RECONCILE_PAUSE;

/// What a load was given that begins now.
fn reading() -> ClockReading {
    let home = |number| HomeReading { incarnation: format!("i{number}").into(), seq: 1 };
    let homes = Some((0..COUNT).map(home).collect());
    ClockReading { incarnation: "i0".into(), seq: 1, read_at_ms: 1, read_at: clock::now(), learned: None, homes }
}

/// Of a key that is at home in the first partition; `names` are their names.
fn fill<'a>(key: &'a str, names: &'a [Name], clock: &'a ClockReading) -> Fill<'a> {
    Fill { key, value: stored(names, b"v"), names, ttl: LONG, clock, token: Token::new(), learned: None }
}

fn registration(verdict: &str, incarnation: &str) -> String {
    list([text(verdict), text(incarnation), ":1\r\n".to_owned(), text("")])
}

/// A tag that is at home in the second partition.
fn foreign_tag() -> Vec<Name> {
    parse(&[&["t", &at_home_in(1)].concat()])
}

async fn heals(node: &ScriptedNode) -> bool {
    let asked = node.runs(&scripts::STATE).len();
    tokio::time::sleep(SOON).await;
    node.runs(&scripts::STATE).len() > asked
}

/// ★ Else nothing that has a name of that home is stored while leases cannot be given back.
#[tokio::test(start_paused = true)]
async fn a_refused_fill_keeps_its_reason_and_its_remedy_whatever_becomes_of_its_lease() {
    let node = ScriptedNode::new();
    node.on(&scripts::RELEASE_LEASE, "-LOADING Redis is loading the dataset in memory\r\n");
    node.on(&scripts::REGISTER, &registration("incarnation", "i1"));
    let (key, names, clock) = (at_home_in(0), foreign_tag(), reading());
    let reply = node.store.fill(fill(&key, &names, &clock), far()).await.unwrap();
    assert_eq!((reply, node.runs(&scripts::RELEASE_LEASE).len()), (CLOCK_LOST, 1));
    assert!(heals(&node).await);
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_is_too_old_keeps_its_reason_whatever_becomes_of_its_lease() {
    let node = ScriptedNode::new();
    node.on(&scripts::RELEASE_LEASE, "-LOADING Redis is loading the dataset in memory\r\n");
    let (key, clock) = (at_home_in(0), reading());
    tokio::time::advance(node.store.0.retention + LONG).await;
    let reply = node.store.fill(fill(&key, &[], &clock), far()).await.unwrap();
    assert_eq!(reply, FillReply::Refused(Refusal::TooOld));
    assert_eq!(node.runs(&scripts::RELEASE_LEASE).len(), 1);
}

fn written(verdict: &str) -> String {
    list([text(verdict)].into_iter().chain(visited("i0", 5, 0)))
}

/// ★ The key is to fall now, and not when that home is back.
#[tokio::test(start_paused = true)]
async fn a_write_removes_what_is_there_although_a_home_does_not_answer() {
    for (failure, reason) in [
        ("-CLUSTERDOWN The cluster is down\r\n", Refusal::Unregistered),
        ("-LOADING Redis is loading the dataset in memory\r\n", Refusal::Unregistered),
        ("-OOM command not allowed when used memory > 'maxmemory'.\r\n", Refusal::OutOfMemory),
    ] {
        let node = ScriptedNode::new();
        node.on(&scripts::REGISTER, failure);
        node.on(&scripts::WRITE, &written("home"));
        let (key, names, clock) = (at_home_in(0), foreign_tag(), reading());
        let reply = node.store.write(fill(&key, &names, &clock), None, far()).await.unwrap();
        assert_eq!((reply.fill, reply.drained.removed), (FillReply::Refused(reason), 1), "{failure}");
        assert!(reply.rest.is_done());
        let [sent] = &node.runs(&scripts::WRITE)[..] else { panic!("it is sent once") };
        assert!(sent.contains("!known:none"), "nothing may be stored: {sent}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_home_that_was_lost_is_made_good_whatever_becomes_of_the_write() {
    let node = ScriptedNode::new();
    node.on(&scripts::REGISTER, &registration("incarnation", "i1"));
    node.on(&scripts::WRITE, "-LOADING Redis is loading the dataset in memory\r\n");
    let (key, names, clock) = (at_home_in(0), foreign_tag(), reading());
    node.store.write(fill(&key, &names, &clock), None, far()).await.unwrap_err();
    assert!(heals(&node).await);
}

/// ★ Else a key that is only ever written is not stored again.
#[tokio::test(start_paused = true)]
async fn a_write_that_is_refused_because_a_home_was_lost_has_it_made_good() {
    let node = ScriptedNode::new();
    node.on(&scripts::REGISTER, &registration("registered", "i1"));
    node.on(&scripts::WRITE, &written("home"));
    let (key, names, clock) = (at_home_in(0), foreign_tag(), reading());
    let reply = node.store.write(fill(&key, &names, &clock), None, far()).await.unwrap();
    assert_eq!(reply.fill, CLOCK_LOST);
    assert!(heals(&node).await);
}
