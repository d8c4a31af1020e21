//! The layout of a type: what the bytes of a codec depend on that writes no names. The fingerprint
//! is not enough for that: it takes fields in any order.

use std::any::TypeId;
use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use serde::de::DeserializeOwned;

use super::record::{Walked, record_in_order};

/// 32 bits of blake3 over the names and kinds of all places, in their order. A type that is another
/// one has another fingerprint as well, in nearly all cases.
pub(crate) type LayoutDigest = [u8; 4];

/// The layout of `T`, remembered; `Option<T>` has that of `T`. `None`: `T` is recursive, or larger
/// than a walk goes. Of a recursive type a few bytes may announce a depth that ends the stack.
pub(crate) fn layout_of<T: DeserializeOwned>() -> Option<LayoutDigest> {
    static MEMO: OnceLock<RwLock<HashMap<TypeId, Option<LayoutDigest>>>> = OnceLock::new();
    let memo = MEMO.get_or_init(RwLock::default);
    let key = typeid::of::<T>();
    if let Some(known) = memo.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return *known;
    }
    let layout = compute::<T>();
    memo.write().unwrap_or_else(PoisonError::into_inner).insert(key, layout);
    layout
}

fn compute<T: DeserializeOwned>() -> Option<LayoutDigest> {
    let Walked { lines, is_bounded } = record_in_order::<T>();
    if !is_bounded {
        return None;
    }
    let mut hasher = blake3::Hasher::new();
    for text in lines.iter().flat_map(|(path, what)| [path, what]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().as_bytes().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct There {
        lat: u32,
        lon: u32,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Back {
        lon: u32,
        lat: u32,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Up {
        A,
        B,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Down {
        B,
        A,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Tree(Vec<Tree>);

    #[test]
    fn the_order_of_fields_and_variants_counts() {
        let fingerprint = |one, other| assert_eq!(one, other, "which is why the fingerprint will not do");
        fingerprint(super::super::fingerprint::<There>(0, None), super::super::fingerprint::<Back>(0, None));
        assert_ne!(layout_of::<There>(), layout_of::<Back>());
        assert_ne!(layout_of::<Vec<Up>>(), layout_of::<Vec<Down>>());
        assert_eq!(layout_of::<There>(), layout_of::<Option<There>>());
        assert_ne!(layout_of::<(u8, u16)>(), layout_of::<(u16, u8)>());
        assert!(layout_of::<There>().is_some());
    }

    #[test]
    fn a_recursive_type_has_none() {
        assert_eq!(layout_of::<Tree>(), None);
        assert_eq!(layout_of::<Vec<Option<Tree>>>(), None);
    }
}
