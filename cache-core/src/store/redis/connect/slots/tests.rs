use bytes::Bytes;

use super::*;

fn text(text: &str) -> Reply {
    Reply::Bulk(Bytes::copy_from_slice(text.as_bytes()))
}

fn node(endpoint: Reply, port: i64, more: Reply) -> Reply {
    Reply::Array(vec![endpoint, Reply::Integer(port), text("id"), more])
}

fn range(first: i64, last: i64, nodes: Vec<Reply>) -> Reply {
    Reply::Array([Reply::Integer(first), Reply::Integer(last)].into_iter().chain(nodes).collect())
}

fn place_of(host: &str, port: u16) -> HostPort {
    HostPort { host: host.to_owned(), port }
}

fn none() -> Reply {
    Reply::Array(Vec::new())
}

fn parse(ranges: Vec<Reply>) -> SlotMap {
    SlotMap::parse(&Reply::Array(ranges), &place_of("asked", 7000)).unwrap()
}

#[test]
fn the_slot_of_a_key_is_that_of_its_hash_tag() {
    assert_eq!(slot_of("123456789"), 12_739);
    assert_eq!(slot_of("{123456789}:flight:42"), 12_739);
    assert_eq!(slot_of("flight{123456789}{x}"), 12_739);
    assert_eq!(slot_of("{}key"), crc16(b"{}key") % SLOTS);
    assert_eq!(slot_of("{key"), crc16(b"{key") % SLOTS);
}

#[test]
fn each_slot_has_the_first_node_of_its_range() {
    let map = parse(vec![
        range(0, 99, vec![node(text("a"), 1, none()), node(text("b"), 2, none())]),
        range(100, 16_383, vec![node(text("::1"), 3, none())]),
    ]);
    assert_eq!([0, 99, 100, 16_383].map(|slot| map.owner(slot).unwrap().host.clone()), ["a", "a", "::1", "::1"]);
    assert_eq!(map.nodes, [place_of("a", 1), place_of("b", 2), place_of("::1", 3)]);
    assert_eq!(parse(vec![range(0, 99, vec![node(text("a"), 1, none())])]).owner(100), None);
    assert_eq!(parse(Vec::new()), SlotMap::default());
}

#[test]
fn a_node_without_a_host_is_where_the_answer_came_from() {
    for endpoint in [Reply::Null, text("")] {
        let map = parse(vec![range(0, 9, vec![node(endpoint, 7001, none())])]);
        assert_eq!(map.owner(9), Some(&place_of("asked", 7001)));
    }
}

#[test]
fn a_node_without_a_host_name_is_at_its_address() {
    let pairs = [text("hostname"), text(""), text("ip"), text("10.0.0.1")];
    let map = Reply::Map(vec![(text("ip"), text("10.0.0.1"))]);
    for more in [Reply::Array(pairs.to_vec()), map] {
        let map = parse(vec![range(0, 9, vec![node(text("?"), 1, more)])]);
        assert_eq!(map.owner(0), Some(&place_of("10.0.0.1", 1)));
    }
    assert_eq!(parse(vec![range(0, 9, vec![node(text("?"), 1, none())])]), SlotMap::default());
}

#[test]
fn what_cannot_be_understood_is_passed_over() {
    let good = range(10, 19, vec![node(text("a"), 1, none())]);
    for bad in [
        Reply::Null,
        range(0, 70_000, vec![node(text("b"), 2, none())]),
        range(-1, 9, vec![node(text("b"), 2, none())]),
        range(0, 9, vec![node(text("b"), 0, none()), Reply::Null]),
        Reply::Array(vec![Reply::Integer(1)]),
    ] {
        assert_eq!(parse(vec![bad, good.clone()]).nodes, [place_of("a", 1)]);
    }
    assert!(SlotMap::parse(&Reply::Null, &place_of("asked", 1)).is_err());
}

#[test]
fn the_number_of_nodes_is_bounded() {
    let nodes = (1..=CLUSTER_NODES_MAX as i64 + 1).map(|port| node(text("a"), port, none())).collect();
    assert_eq!(parse(vec![range(0, 9, nodes)]).nodes.len(), CLUSTER_NODES_MAX);
}

#[test]
fn announced_addresses_are_mapped() {
    let pairs = [("10.0.0.1:6379".to_owned(), "gw.example:16379".to_owned()), ("[::1]:1".to_owned(), "b:2".to_owned())];
    let addresses = NodeAddresses::new(&pairs).unwrap();
    assert_eq!(addresses.reached(place_of("10.0.0.1", 6379)), place_of("gw.example", 16379));
    assert_eq!(addresses.reached(place_of("::1", 1)), place_of("b", 2));
    assert_eq!(addresses.reached(place_of("10.0.0.1", 6380)), place_of("10.0.0.1", 6380));
    for wrong in ["10.0.0.1", "", "a:0", "a:x"] {
        assert!(NodeAddresses::new(&[("a:1".to_owned(), wrong.to_owned())]).is_err(), "{wrong}");
    }
}
