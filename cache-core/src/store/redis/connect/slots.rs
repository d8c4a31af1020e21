//! Which node of a cluster serves which slot, in the words of a node. Asks nobody.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use super::fault::Fault;
use super::host_port::HostPort;
use super::url::place;
use crate::config::CLUSTER_NODES_MAX;
use crate::store::crc16;
use crate::store::redis::resp::Reply;

const SLOTS: u16 = 1 << 14;

/// The slot of a physical key.
pub(super) fn slot_of(key: &str) -> u16 {
    let tag = key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map(|(tag, _)| tag);
    crc16(tag.filter(|tag| !tag.is_empty()).unwrap_or(key).as_bytes()) % SLOTS
}

/// The reply to `CLUSTER SLOTS`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SlotMap {
    served: Vec<(RangeInclusive<u16>, HostPort)>,
    /// All nodes, replicas too, each once.
    pub(super) nodes: Vec<HostPort>,
}

impl SlotMap {
    /// Reads the reply of the node at `asked`. What cannot be understood is passed over: the other
    /// nodes may be of use all the same.
    ///
    /// # Errors
    /// It is no such reply.
    pub(super) fn parse(reply: &Reply, asked: &HostPort) -> Result<Self, Fault> {
        let Reply::Array(ranges) = reply else { return Err(Fault::not_a_reply()) };
        let (mut map, mut met) = (Self::default(), HashSet::new());
        for range in ranges {
            let Reply::Array(range) = range else { continue };
            let [Reply::Integer(first), Reply::Integer(last), nodes @ ..] = &range[..] else { continue };
            let (Ok(first), Ok(last)) = (u16::try_from(*first), u16::try_from(*last)) else { continue };
            for (at, node) in nodes.iter().enumerate() {
                let Some(node) = node_of(node, asked) else { continue };
                if at == 0 {
                    map.served.push((first..=last, node.clone()));
                }
                if map.nodes.len() < CLUSTER_NODES_MAX && met.insert(node.clone()) {
                    map.nodes.push(node);
                }
            }
        }
        Ok(map)
    }

    /// The node that serves a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&HostPort> {
        self.served.iter().find(|(slots, _)| slots.contains(&slot)).map(|(_, node)| node)
    }
}

/// A node: its preferred endpoint, port and id, and then what else is known of its addresses.
fn node_of(node: &Reply, asked: &HostPort) -> Option<HostPort> {
    let Reply::Array(node) = node else { return None };
    let [endpoint, Reply::Integer(port), more @ ..] = &node[..] else { return None };
    let host = match endpoint.text() {
        // A node that does not know by what address it is reached: by the one that was used.
        None | Some("") => asked.host.clone(),
        // Host names are preferred, and this node has none.
        Some("?") => address_in(more.get(1)?)?,
        Some(host) => host.to_owned(),
    };
    let port = u16::try_from(*port).ok().filter(|port| *port != 0)?;
    Some(HostPort { host, port })
}

/// The address among what else is known: pairs of `ip` or `hostname` and a text, however they are
/// written.
fn address_in(more: &Reply) -> Option<String> {
    let address = match more {
        Reply::Map(pairs) => pairs.iter().find(|(name, _)| name.text() == Some("ip")).map(|(_, value)| value),
        Reply::Array(pairs) => pairs.chunks(2).find(|pair| pair[0].text() == Some("ip")).and_then(|pair| pair.get(1)),
        _ => None,
    };
    address?.text().filter(|address| !address.is_empty()).map(ToOwned::to_owned)
}

/// Where nodes are reached whose own addresses lead nowhere from here.
#[derive(Debug, Default)]
pub(super) struct NodeAddresses(HashMap<HostPort, HostPort>);

impl NodeAddresses {
    /// Of pairs of what is announced and what is reached, `host:port` each.
    ///
    /// # Errors
    /// `Config`: one is no address, or there are too many.
    pub(super) fn new(pairs: &[(String, String)]) -> Result<Self, Fault> {
        if pairs.len() > CLUSTER_NODES_MAX {
            return Err(Fault::config(format!("{CLUSTER_NODES_MAX} addresses of nodes can be mapped at most")));
        }
        let parsed = |text: &String| {
            place(text, 0).map_err(|_| Fault::config("the address of a node of a cluster is written host:port"))
        };
        let pairs = pairs.iter().map(|(announced, reached)| Ok((parsed(announced)?, parsed(reached)?)));
        Ok(Self(pairs.collect::<Result<_, Fault>>()?))
    }

    pub(super) fn reached(&self, announced: HostPort) -> HostPort {
        self.0.get(&announced).cloned().unwrap_or(announced)
    }
}

#[cfg(test)]
mod tests;
