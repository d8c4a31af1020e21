//! Whether serde shows a difference between two values.

use serde::ser::Serialize;

use super::{Purpose, encode_by};
use crate::config::COMPARED_DEPTH_MAX;

static EXACT: Purpose = Purpose { depth_max: COMPARED_DEPTH_MAX, exact_floats: true, sorted_lists: false };
static SORTED: Purpose = Purpose { sorted_lists: true, ..EXACT };

/// Whether serde shows a difference between a value and what became of it.
///
/// Where a difference cannot be told, there is none: below [`COMPARED_DEPTH_MAX`], and in a value
/// that serializes differently each time. Nor does the order of a list count: a set whose type is
/// hidden looks like a list, and each new set has another order.
///
/// # Cost
/// Both values are serialized once, and three times in all if they differ, to bytes that are
/// a few times as long as JSON.
pub(crate) fn differ<A: Serialize + ?Sized, B: Serialize + ?Sized>(value: &A, became: &B) -> bool {
    let Ok(bytes) = encode_by(&EXACT, value) else { return false };
    if encode_by(&EXACT, became).as_ref() == Ok(&bytes) {
        return false;
    }
    let sorted = encode_by(&SORTED, value);
    encode_by(&SORTED, became) != sorted && encode_by(&SORTED, value) == sorted
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::{BTreeMap, HashMap, HashSet};

    use serde::ser::Serializer;

    use super::*;

    #[test]
    fn what_serde_tells_apart_differs() {
        assert!(differ(&Some(None::<u8>), &None::<Option<u8>>));
        assert!(differ(&Some(f64::NAN), &None::<f64>));
        assert!(differ(&Some(()), &None::<()>));
        assert!(differ(&0.1, &0.2));
        assert!(differ(&0.0, &-0.0));
        assert!(differ("a", &'a'));
        assert!(differ(&BTreeMap::from([(1, 2)]), &BTreeMap::from([(2, 1)])));
        assert!(differ(&["a", "a", "b"], &["a", "b", "b"]));
        // The position of a tuple's field counts.
        assert!(differ(&(1, 2), &(2, 1)));
    }

    #[test]
    fn what_serde_does_not_tell_apart_does_not_differ() {
        assert!(!differ(&f64::NAN, &-f64::NAN));
        assert!(!differ(&f32::NAN, &f32::from_bits(0x7fc0_0001)));
        assert!(!differ(&1u8, &1i64));
        let words = ["a", "b", "c", "d"];
        assert!(!differ(&HashSet::from(words), &HashSet::from(words)));
        let numbers = || words.into_iter().zip(0..).collect::<HashMap<_, u8>>();
        assert!(!differ(&numbers(), &numbers()));
    }

    /// A set that serde cannot recognise as one.
    struct Hidden(Vec<&'static str>);

    impl Serialize for Hidden {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq(self.0.iter().map(|word| (word, 1)))
        }
    }

    #[test]
    fn the_order_of_a_list_does_not_count() {
        let map = |words: [&'static str; 3]| BTreeMap::from([("words", vec![Hidden(words.to_vec())])]);
        assert!(!differ(&map(["a", "b", "c"]), &map(["c", "a", "b"])));
        assert!(differ(&map(["a", "b", "c"]), &map(["c", "a", "d"])));
    }

    #[test]
    fn a_value_that_says_something_else_each_time_is_not_judged() {
        struct Clock(Cell<u32>);

        impl Serialize for Clock {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.set(self.0.get() + 1);
                serializer.serialize_u32(self.0.get())
            }
        }

        assert!(!differ(&Clock(Cell::new(0)), &Clock(Cell::new(10))));
    }

    #[test]
    fn what_lies_too_deep_is_not_judged() {
        #[derive(serde::Serialize)]
        struct Chain(Option<Box<Chain>>);

        let chain = |links| (0..links).fold(Chain(None), |chain, _| Chain(Some(Box::new(chain))));
        assert!(differ(&chain(COMPARED_DEPTH_MAX / 2 - 1), &chain(1)));
        assert!(!differ(&chain(COMPARED_DEPTH_MAX), &chain(1)));
    }
}
