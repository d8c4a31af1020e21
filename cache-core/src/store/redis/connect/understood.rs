//! What a node's words come to, in words of ours: for whoever throws bytes at what reads them.

use super::fault::{Fault, Misrouting};
use super::host_port::HostPort;
use super::slots::SlotMap;
use crate::store::redis::resp::Reply;

/// The message and the consequence of an error reply; of any other, how many nodes it names if it
/// tells where the slots are.
pub(in crate::store::redis) fn understood(reply: &Reply) -> String {
    if let Reply::Error(words) = reply {
        let fault = Fault::of_reply(words);
        let leads = match fault.misrouting {
            Some(Misrouting::Moved(_)) => "elsewhere",
            Some(Misrouting::Moving) => "to wait",
            Some(Misrouting::Unserved) => "nowhere",
            None => "",
        };
        return format!("{} {leads}", fault.message);
    }
    let asked = HostPort { host: "asked".to_owned(), port: 1 };
    SlotMap::parse(reply, &asked).map_or(String::new(), |map| format!("{} nodes", map.nodes.len()))
}
