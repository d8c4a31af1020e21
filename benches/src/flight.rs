//! What is cached: 200-odd bytes of JSON.

use hitbox_fn::CacheableResponse;
use serde::{Deserialize, Serialize};

/// As many fields as a row of a real table has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CacheableResponse)]
pub struct Flight {
    pub id: u64,
    pub carrier: String,
    pub number: u32,
    pub origin: String,
    pub destination: String,
    pub departs_at: String,
    pub arrives_at: String,
    pub delay_min: i32,
    pub distance_km: u32,
    pub aircraft: Option<String>,
}

impl Flight {
    pub fn new(id: u64) -> Self {
        Self {
            id,
            carrier: "AA".to_owned(),
            number: 1000 + id as u32 % 9000,
            origin: "DFW".to_owned(),
            destination: "LAX".to_owned(),
            departs_at: "2001-03-14T08:35:00-06:00".to_owned(),
            arrives_at: "2001-03-14T10:05:00-08:00".to_owned(),
            delay_min: id as i32 % 120 - 10,
            distance_km: 1987,
            aircraft: Some("N123AA".to_owned()),
        }
    }
}
