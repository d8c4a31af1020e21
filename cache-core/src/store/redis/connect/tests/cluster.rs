//! Nodes of a cluster that say what they are told to say.

use std::collections::HashMap;

use super::super::fault::Fault;
use super::super::route::DialNode;
use super::super::slots::slot_of;
use super::fake::{Answer, Door, Fake};
use super::*;
use crate::config::{REDIRECTS_MAX, TOPOLOGY_ANSWER_TIMEOUT, TOPOLOGY_INTERVAL};
use crate::store::redis::layout::Layout;

/// Keys in two partitions.
const PROBES: [&str; 2] = ["{123456789}:~never", "{a}:~never"];
/// Their slots.
const SLOTS: [u16; 2] = [12_739, 15_495];

pub(in crate::store::redis) struct Nodes {
    each: HashMap<&'static str, Arc<Fake>>,
}

impl Nodes {
    /// `a` and `b`; `a` serves every slot.
    pub(in crate::store::redis) fn new() -> Self {
        let nodes = Self { each: ["a", "b"].into_iter().map(|host| (host, Fake::new())).collect() };
        for (host, fake) in &nodes.each {
            fake.become_primary(host);
        }
        nodes.tell(&[("a", 0, 16_383)]);
        nodes
    }

    pub(in crate::store::redis) fn at(&self, host: &str) -> &Arc<Fake> {
        &self.each[host]
    }

    /// What all nodes say of the slots from now on.
    pub(in crate::store::redis) fn tell(&self, served: &[(&str, u16, u16)]) {
        let mut text = format!("*{}\r\n", served.len());
        for (host, first, last) in served {
            text += &format!("*3\r\n:{first}\r\n:{last}\r\n*3\r\n${}\r\n{host}\r\n:7000\r\n$2\r\nid\r\n", host.len());
        }
        self.each.values().for_each(|fake| fake.on("CLUSTER SLOTS", Answer::raw(&text)));
    }

    fn dial(&self) -> DialNode {
        let dials: HashMap<_, _> = self.each.iter().map(|(host, fake)| (host.to_string(), fake.dial())).collect();
        Arc::new(move |place: HostPort| match dials.get(&place.host) {
            Some(dial) => dial(),
            None => Box::pin(async move { Err(Fault::unavailable(format!("{place} is none of the nodes"))) }),
        })
    }

    fn pool(&self, seeds: &str, partitions: usize) -> Pool {
        self.mapped(seeds, partitions, &[])
    }

    fn mapped(&self, seeds: &str, partitions: usize, addresses: &[(String, String)]) -> Pool {
        let probes: Vec<String> = PROBES[..partitions].iter().map(|probe| (*probe).to_owned()).collect();
        self.probing(seeds, &probes, addresses)
    }

    pub(in crate::store::redis) fn probing(
        &self,
        seeds: &str,
        probes: &[String],
        addresses: &[(String, String)],
    ) -> Pool {
        let hooks = Hooks {
            on_connection: doing_nothing(),
            on_new_primary: finding_all(),
            on_loss: Box::new(|_| ()),
            on_change: Box::new(|_| ()),
        };
        self.hooked((seeds, addresses), probes, &config(1), hooks)
    }

    pub(in crate::store::redis) fn hooked(
        &self,
        (seeds, addresses): (&str, &[(String, String)]),
        probes: &[String],
        config: &Config,
        hooks: Hooks,
    ) -> Pool {
        let target = ServerUrl::parse(&format!("redis-cluster://zoe:s3cr3t@{seeds}")).unwrap();
        let Address::Cluster { seeds, .. } = target.address.clone() else { unreachable!("it is one of a cluster") };
        let making = making(Logins::of(&target, None).unwrap(), config, hooks);
        let addresses = NodeAddresses::new(addresses).unwrap();
        Pool::of_cluster(target, (seeds, addresses), self.dial(), making, probes)
    }

    /// How often any node was asked where the slots are.
    fn inquiries(&self) -> usize {
        self.each.values().map(|fake| fake.seen("CLUSTER SLOTS").len()).sum()
    }
}

fn moved(slot: u16, to: &str) -> Answer {
    Answer::raw(&format!("-MOVED {slot} {to}\r\n"))
}

async fn get_in(pool: &Pool, partition: u16, key: &str) -> Result<String, Error> {
    let stripe = StripeKey::new(key).of_partition(partition);
    let reply = pool.command(stripe, Command::new("GET").arg(key), in_time()).await?;
    Ok(reply.text().unwrap_or_default().to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_to_the_node_of_its_partition() {
    let nodes = Nodes::new();
    nodes.tell(&[("a", 0, SLOTS[0]), ("b", SLOTS[0] + 1, 16_383)]);
    let pool = nodes.pool("a:7000", 2);
    assert_eq!(get_in(&pool, 0, "x").await.unwrap(), "x");
    assert_eq!(get_in(&pool, 1, "y").await.unwrap(), "y");
    assert_eq!((nodes.at("a").seen("GET").len(), nodes.at("b").seen("GET").len()), (1, 1));
    assert_eq!(nodes.inquiries(), 1);
    pool.ready(DEADLINE).await.unwrap();
}

/// ★ The other node is asked at once: the nodes need not have been asked where the slots are.
#[tokio::test(start_paused = true)]
async fn a_moved_partition_is_followed_at_once_and_asked_for_once() {
    let nodes = Nodes::new();
    let pool = Arc::new(nodes.pool("a:7000", 2));
    get_in(&pool, 0, "x").await.unwrap();
    nodes.at("a").on("GET", moved(SLOTS[0], "b:7000"));
    nodes.tell(&[("b", 0, 16_383)]);
    let (answers, took) = timed(async {
        let calls = (0..20).map(|_| {
            let pool = pool.clone();
            async move { get_in(&pool, 0, "x").await }
        });
        calls.collect::<tokio::task::JoinSet<_>>().join_all().await
    })
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(took, Duration::ZERO);
    assert_eq!(nodes.inquiries(), 1, "and not one for each call");
    tokio::time::sleep(2 * TOPOLOGY_INTERVAL).await;
    assert_eq!(nodes.inquiries(), 2);
    nodes.at("a").on("GET", Answer::Echo);
    get_in(&pool, 1, "y").await.unwrap();
    assert_eq!(nodes.at("b").seen("GET y").len(), 1, "the other partition has moved, too: the nodes say so");
    nodes.at("a").closed(2).await;
}

/// ★ What is read from the node that does not serve it any more would be vouched for by nobody.
#[tokio::test(start_paused = true)]
async fn a_read_to_copy_follows_a_moved_partition_and_is_vouched_for_by_its_new_node() {
    let nodes = Nodes::new();
    let pool = nodes.pool("a:7000", 2);
    let read = async || {
        let read = pool.read_to_copy(StripeKey::new("x"), Command::new("GET").arg("x"), in_time());
        let (reply, voucher) = read.await.unwrap();
        assert_eq!(reply.text(), Some("x"));
        voucher
    };
    let vouched = async || {
        for _ in 0..100 {
            if let Some(voucher) = read().await {
                return voucher;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        panic!("nothing vouches for copies");
    };
    let old = vouched().await;
    nodes.at("a").on("GET", moved(SLOTS[0], "b:7000"));
    nodes.tell(&[("b", 0, 16_383)]);
    assert!(read().await.is_none(), "the node was not met before");
    assert_eq!(nodes.at("b").seen("GET").len(), 1);
    let new = vouched().await;
    assert!(new.vouches_now() && !Arc::ptr_eq(&old, &new));
    tokio::time::sleep(2 * TOPOLOGY_INTERVAL).await;
    nodes.at("a").closed(nodes.at("a").dials()).await;
    assert!(old.is_revoked(), "its node serves nothing any more");
}

/// ★ Of sixteen partitions one has moved, and no node answers where the slots are.
#[tokio::test(start_paused = true)]
async fn a_moved_partition_is_followed_and_delays_no_other_while_nobody_says_where_the_rest_is() {
    let nodes = Nodes::new();
    let layouts = (0..16).map(|number| Layout::of_partition("shop", number));
    let probes: Vec<String> = layouts.map(|layout| layout.declared()).collect();
    let pool = nodes.probing("a:7000", &probes, &[]);
    for partition in 0..16 {
        get_in(&pool, partition, &partition.to_string()).await.unwrap();
    }
    nodes.each.values().for_each(|fake| fake.on("CLUSTER SLOTS", Answer::Stall));
    nodes.at("a").on("GET 7", moved(slot_of(&probes[7]), "b:7000"));
    let (answers, took) = timed(async {
        let mut answers = Vec::new();
        for partition in (0..16).chain(0..16) {
            answers.push(get_in(&pool, partition, &partition.to_string()).await);
        }
        answers
    })
    .await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    assert_eq!(took, Duration::ZERO);
    assert_eq!((nodes.at("a").seen("GET 7").len(), nodes.at("b").seen("GET 7").len()), (2, 2), "once from the old one");
    assert_eq!(nodes.at("b").seen("GET").len(), 2, "the others stay where they are");
    tokio::time::sleep(2 * TOPOLOGY_INTERVAL).await;
    assert!(nodes.inquiries() > 1, "it is being asked");
    let (answer, took) = timed(get_in(&pool, 3, "3")).await;
    assert_eq!((answer.unwrap(), took), ("3".to_owned(), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn nodes_that_send_a_call_round_in_circles_are_left() {
    let nodes = Nodes::new();
    nodes.at("a").on("GET", moved(SLOTS[0], "b:7000"));
    nodes.at("b").on("GET", moved(SLOTS[0], "a:7000"));
    let pool = nodes.pool("a:7000", 1);
    let error = get_in(&pool, 0, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let sent = nodes.at("a").seen("GET").len() + nodes.at("b").seen("GET").len();
    assert_eq!(sent, REDIRECTS_MAX + 1);
}

/// ★ A node that has not heard yet of what the new owner says must not take the partition back.
#[tokio::test(start_paused = true)]
async fn an_answer_from_before_a_redirection_does_not_undo_it() {
    let nodes = Nodes::new();
    let pool = nodes.pool("a:7000", 1);
    get_in(&pool, 0, "x").await.unwrap();
    // The question is under way, and answered late.
    let asked = Arc::new(tokio::sync::Notify::new());
    nodes.at("a").on("GET", moved(SLOTS[0], "b:7000"));
    let slow = Answer::ReplyAfter(
        asked.clone(),
        b"*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$1\r\na\r\n:7000\r\n$2\r\nid\r\n".to_vec(),
    );
    nodes.at("a").on("CLUSTER SLOTS", slow.clone());
    nodes.at("b").on("CLUSTER SLOTS", slow);
    pool.any(|node| {
        node.shared.note_trouble();
        false
    });
    tokio::time::sleep(2 * TOPOLOGY_INTERVAL).await;
    get_in(&pool, 0, "x").await.unwrap();
    asked.notify_one();
    tokio::time::sleep(Duration::from_millis(1)).await;
    get_in(&pool, 0, "x").await.unwrap();
    assert_eq!(nodes.at("a").seen("GET").len(), 2);
}

/// ★ A script that runs on the other node finds half of what it needs.
#[tokio::test(start_paused = true)]
async fn a_slot_on_its_way_is_followed_by_no_call_and_opens_no_breaker() {
    for answer in [
        format!("-ASK {} b:7000\r\n", SLOTS[0]),
        "-TRYAGAIN Multiple keys request during rehashing of slot\r\n".to_owned(),
        "-ERR Script attempted to access a non local key in a cluster node script: abc, on @user_script:1.\r\n"
            .to_owned(),
        "-CLUSTERDOWN The cluster is down\r\n".to_owned(),
    ] {
        let nodes = Nodes::new();
        let pool = nodes.pool("a:7000", 1);
        get_in(&pool, 0, "x").await.unwrap();
        nodes.at("a").on("EVALSHA", Answer::raw(&answer));
        for _ in 0..20 {
            let run = pool.run(&scripts::READ_CLOCK, StripeKey::new("x"), &["{123456789}:~never"], &[], in_time());
            let error = run.await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{answer}: {error}");
            assert!(is_misrouted(&error), "{answer}");
            check_discreet(&error);
        }
        assert!(!pool.breaker_is_open(), "{answer}");
        assert_eq!(get_in(&pool, 0, "x").await.unwrap(), "x", "what is there goes on");
        assert_eq!(nodes.at("b").seen("EVALSHA").len() + nodes.at("b").seen("ASKING").len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_lost_is_replaced_without_a_call() {
    let nodes = Nodes::new();
    let pool = nodes.pool("a:7000,b:7000", 1);
    get_in(&pool, 0, "x").await.unwrap();
    nodes.tell(&[("b", 0, 16_383)]);
    nodes.at("a").set_door(Door::Refuse);
    nodes.at("a").on("HELLO", Answer::Cut(Vec::new()));
    pool.ready(Duration::from_secs(10)).await.unwrap();
    assert_eq!(get_in(&pool, 0, "x").await.unwrap(), "x");
    assert_eq!(nodes.at("b").seen("GET").len(), 1);
}

/// ★ Each node has a breaker of its own, and a node that hangs holds up its own calls alone.
#[tokio::test(start_paused = true)]
async fn a_node_that_hangs_holds_up_no_call_to_another() {
    let nodes = Nodes::new();
    nodes.tell(&[("a", 0, SLOTS[0]), ("b", SLOTS[0] + 1, 16_383)]);
    let pool = nodes.pool("a:7000", 2);
    get_in(&pool, 0, "x").await.unwrap();
    get_in(&pool, 1, "y").await.unwrap();
    nodes.at("a").on("GET", Answer::Stall);
    for _ in 0..10 {
        let _ = get_in(&pool, 0, "x").await;
        let (answer, took) = timed(get_in(&pool, 1, "y")).await;
        assert_eq!((answer.unwrap(), took), ("y".to_owned(), Duration::ZERO));
    }
    assert!(pool.breaker_is_open() && !pool.refuses());
}

#[tokio::test(start_paused = true)]
async fn any_seed_will_do_and_one_that_is_down_is_no_error() {
    let nodes = Nodes::new();
    nodes.at("b").set_door(Door::Lost);
    let pool = nodes.pool("gone:7000,b:7000,a:7000", 1);
    let (answer, took) = timed(get_in(&pool, 0, "x")).await;
    assert_eq!(answer.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(took, DEADLINE, "no call waits longer than a call may");
    pool.ready(Duration::from_secs(1)).await.unwrap();
    assert_eq!(get_in(&pool, 0, "x").await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn while_no_node_answers_calls_fail_at_once_and_ask_again() {
    let nodes = Nodes::new();
    nodes.at("a").set_door(Door::Refuse);
    let pool = nodes.pool("a:7000", 1);
    let error = get_in(&pool, 0, "x").await.unwrap_err();
    assert!(error.to_string().contains("cannot connect"), "{error}");
    let (error, took) = timed(get_in(&pool, 0, "x")).await;
    assert_eq!((error.unwrap_err().kind(), took), (ErrorKind::Unavailable, Duration::ZERO));
    nodes.at("a").set_door(Door::Open);
    pool.ready(Duration::from_secs(1)).await.unwrap();
    assert_eq!(get_in(&pool, 0, "x").await.unwrap(), "x");
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_nobody_serves_is_told_and_waited_for() {
    let nodes = Nodes::new();
    nodes.tell(&[("a", 0, 5)]);
    let pool = nodes.pool("a:7000", 1);
    let error = pool.ready(Duration::from_secs(1)).await.unwrap_err();
    assert!(error.to_string().contains("slot 12739"), "{error}");
    assert!(nodes.inquiries() <= 11, "{} questions in a second", nodes.inquiries());
    nodes.tell(&[("a", 0, 16_383)]);
    pool.ready(Duration::from_secs(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_can_never_work_is_told_at_once_with_the_way_out() {
    for (command, answer, expected) in [
        ("CLUSTER SLOTS", "-ERR This instance has cluster support disabled\r\n", "redis://a:7000"),
        ("HELLO", "-WRONGPASS private\r\n", "WRONGPASS"),
        ("HELLO", "%3\r\n+server\r\n+redis\r\n+version\r\n$6\r\n6.2.14\r\n+role\r\n$6\r\nmaster\r\n", "Redis 6.2.14"),
        ("CLUSTER SLOTS", "-NOPERM private\r\n", "CLUSTER"),
    ] {
        let nodes = Nodes::new();
        nodes.at("a").on(command, Answer::raw(answer));
        let (error, took) = timed(nodes.pool("a:7000", 1).ready(Duration::from_secs(9))).await;
        let error = error.unwrap_err();
        assert_eq!((error.kind(), took), (ErrorKind::Config, Duration::ZERO), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
        check_discreet(&error);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_of_a_cluster_names_the_url_of_a_cluster() {
    let fake = Fake::new();
    let hello = "%3\r\n+server\r\n+redis\r\n+mode\r\n$7\r\ncluster\r\n+role\r\n$6\r\nmaster\r\n";
    fake.on("HELLO", Answer::raw(hello));
    let error = pool(&fake).ready(DEADLINE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("redis-cluster://fake.test"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn announced_addresses_are_mapped_and_an_empty_host_is_the_one_that_was_asked() {
    let nodes = Nodes::new();
    let mapped = [("10.0.0.1:6379", "a:7000"), ("10.0.0.2:6379", "b:7000")];
    let mapped = mapped.map(|(announced, reached)| (announced.to_owned(), reached.to_owned()));
    nodes.tell(&[("10.0.0.1", 0, 16_383)]);
    let pool = nodes.mapped("b:7000", 1, &[("10.0.0.1:7000".to_owned(), "a:7000".to_owned()), mapped[1].clone()]);
    get_in(&pool, 0, "x").await.unwrap();
    assert_eq!(nodes.at("a").seen("GET").len(), 1);
    nodes.at("a").on("GET", moved(SLOTS[0], "10.0.0.2:6379"));
    get_in(&pool, 0, "x").await.unwrap();
    assert_eq!(nodes.at("b").seen("GET").len(), 1);
    // From `b` to the same host.
    nodes.at("b").on("GET", moved(SLOTS[0], ":7001"));
    let _ = get_in(&pool, 0, "x").await;
    assert!(nodes.at("b").seen("GET").len() > 2, "another port of the same host is `b`, too");
}

/// As some services show a cluster: one address for all slots, in front of nodes that nobody sees.
#[tokio::test(start_paused = true)]
async fn one_virtual_node_will_do() {
    let nodes = Nodes::new();
    nodes.tell(&[("a", 0, 8_000), ("a", 8_001, 16_383)]);
    let pool = nodes.pool("a:7000", 2);
    pool.ready(DEADLINE).await.unwrap();
    assert_eq!(get_in(&pool, 0, "x").await.unwrap() + &get_in(&pool, 1, "y").await.unwrap(), "xy");
    assert_eq!(nodes.at("a").dials(), 2, "the question, and one connection");
    assert!(TOPOLOGY_ANSWER_TIMEOUT > DEADLINE);
}
