use std::collections::{BTreeMap, HashMap};

use cache_core::cached;
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Id(u64);

#[cached(ttl = "60s", each = ids, tags = ["{ids}", "of:{result}"], when = |name| !name.is_empty())]
async fn names(ids: &[Id], unit: String) -> Result<HashMap<Id, String>, String> {
    let _ = (ids, unit);
    Err(String::new())
}

#[cached(ttl = "60s", each = ids)]
async fn sorted(ids: Vec<Id>) -> Result<BTreeMap<Id, String>, String> {
    let _ = ids;
    Err(String::new())
}

fn main() {}
