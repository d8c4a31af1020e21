use std::time::Duration;

use proptest::prelude::*;

use super::*;

const DIGEST: [u8; 16] = *b"0123456789abcdef";

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn bounds() -> AdaptiveTtl {
    AdaptiveTtl::new(seconds(10.0), seconds(3_600.0)).unwrap()
}

fn learned(ttl_s: u64) -> Learned {
    Learned { loaded_at_ms: 1_000_000, ttl_us: ttl_s * 1_000_000, drops_at_ms: 1_000_000, payload_digest: DIGEST }
        .entry_lives(Duration::from_secs(ttl_s))
}

fn refill(after_s: u64) -> Refill {
    Refill { loaded_at_ms: 1_000_000 + after_s * 1_000, payload_digest: DIGEST, replaces: false }
}

#[test]
fn bounds_must_have_an_order_and_a_length() {
    assert_eq!(AdaptiveTtl::new(Duration::ZERO, seconds(1.0)), None);
    assert_eq!(AdaptiveTtl::new(seconds(2.0), seconds(1.0)), None);
    assert!(AdaptiveTtl::new(seconds(1.0), seconds(1.0)).is_some());
}

#[test]
fn unchanged_is_longer_and_changed_is_shorter_within_the_bounds() {
    for ttl in [11.0, 60.0, 600.0, 3_500.0] {
        for elapsed in [0.1, 1.0, 60.0, 3_600.0] {
            let next = |observed| bounds().next(seconds(ttl), seconds(elapsed), observed);
            assert!(next(Observation::Unchanged) > seconds(ttl), "{ttl} s, {elapsed} s");
            assert!(next(Observation::Changed) <= seconds(ttl), "{ttl} s, {elapsed} s");
        }
    }
    assert_eq!(bounds().next(seconds(10.0), seconds(1.0), Observation::Changed), seconds(10.0));
    assert_eq!(bounds().next(seconds(3_600.0), seconds(3_600.0), Observation::Unchanged), seconds(3_600.0));
}

#[test]
fn the_mean_step_vanishes_at_the_square_root_law() {
    let price = 10.0;
    for interval in [30.0_f64, 600.0, 86_400.0] {
        let right: f64 = (price * interval).sqrt();
        for elapsed in [right / 3.0, right, right * 10.0] {
            let step =
                |observed| (bounds().next(seconds(right), seconds(elapsed), observed).as_secs_f64() / right).ln();
            let unchanged = (-elapsed / interval).exp();
            let mean = unchanged * step(Observation::Unchanged) + (1.0 - unchanged) * step(Observation::Changed);
            assert!(mean.abs() < 1e-6, "every {interval} s, seen after {elapsed} s: {mean}");
        }
    }
}

#[test]
fn a_value_that_does_not_change_lives_for_the_root_of_its_age() {
    let (mut ttl, mut age) = (bounds().initial(), Duration::ZERO);
    while age < seconds(86_400.0) {
        age += ttl;
        ttl = bounds().next(ttl, ttl, Observation::Unchanged);
    }
    let right = (10.0 * age.as_secs_f64()).sqrt();
    assert!((ttl.as_secs_f64() / right - 1.0).abs() < 0.05, "{ttl:?} and not {right} s");
}

#[test]
fn a_new_key_begins_where_a_value_that_changes_at_the_mean_of_the_bounds_stays() {
    assert!((bounds().initial().as_secs_f64() - (10.0 * 36_000.0_f64.sqrt()).sqrt()).abs() < 1e-6);
    let one = AdaptiveTtl::new(seconds(60.0), seconds(60.0)).unwrap();
    assert_eq!(one.initial(), seconds(60.0));
    assert_eq!(Learned::after(&bounds(), None, &refill(0)).ttl().as_micros(), bounds().initial().as_micros());
}

#[test]
fn the_same_payload_after_the_expiry_is_unchanged() {
    let next = Learned::after(&bounds(), Some(&learned(60)), &refill(60));
    assert!(next.ttl() > seconds(60.0));
    assert_eq!(next.loaded_at_ms, 1_060_000);
}

#[test]
fn another_payload_is_a_change() {
    let changed = Refill { payload_digest: [0; 16], ..refill(60) };
    assert!(Learned::after(&bounds(), Some(&learned(60)), &changed).ttl() < seconds(60.0));
}

#[test]
fn an_entry_gone_before_its_time_was_invalidated() {
    assert!(Learned::after(&bounds(), Some(&learned(60)), &refill(59)).ttl() < seconds(60.0));
    // A refresh of an entry that is there is none.
    let refresh = Refill { replaces: true, ..refill(59) };
    assert!(Learned::after(&bounds(), Some(&learned(60)), &refresh).ttl() > seconds(60.0));
    // Within its stale windows the store still has it.
    let windowed = learned(60).entry_lives(Duration::from_secs(90));
    assert!(Learned::after(&bounds(), Some(&windowed), &refill(89)).ttl() < seconds(60.0));
}

#[test]
fn a_stores_clock_that_was_set_back_shows_no_time() {
    let earlier = Refill { loaded_at_ms: 5, payload_digest: DIGEST, replaces: true };
    assert_eq!(Learned::after(&bounds(), Some(&learned(60)), &earlier).ttl(), seconds(60.0));
}

#[test]
fn what_was_learned_under_other_bounds_is_brought_within_these() {
    for ttl_s in [0, 1, 1_000_000] {
        let ttl = Learned::after(&bounds(), Some(&learned(ttl_s)), &refill(60)).ttl();
        assert!((seconds(10.0)..=seconds(3_600.0)).contains(&ttl), "{ttl_s}: {ttl:?}");
    }
    // From there the step is taken: a change is seen at once.
    let changed = |ttl| bounds().next(ttl, seconds(60.0), Observation::Changed);
    assert_eq!(changed(seconds(1_000_000.0)), changed(seconds(3_600.0)));
    assert_eq!(bounds().next(Duration::ZERO, Duration::ZERO, Observation::Unchanged), seconds(10.0));
}

#[test]
fn the_longest_times_saturate() {
    let endless = AdaptiveTtl::new(Duration::from_nanos(1), Duration::MAX).unwrap();
    for observed in [Observation::Unchanged, Observation::Changed] {
        for ttl in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
            for elapsed in [Duration::ZERO, Duration::MAX] {
                let next = endless.next(ttl, elapsed, observed);
                assert!(next >= Duration::from_nanos(1));
            }
        }
    }
    assert_eq!(Learned::kept_for(&endless, Duration::ZERO), Duration::MAX);
    let last = Refill { loaded_at_ms: u64::MAX, payload_digest: DIGEST, replaces: false };
    assert_eq!(Learned::after(&endless, Some(&learned(1)), &last).entry_lives(Duration::MAX).drops_at_ms, u64::MAX);
}

#[test]
fn what_was_learned_is_kept_for_longer_than_the_entry() {
    assert_eq!(Learned::kept_for(&bounds(), seconds(10.0)), seconds(4.0 * 3_600.0));
    assert_eq!(Learned::kept_for(&bounds(), seconds(86_400.0)), seconds(86_400.0));
}

#[test]
fn golden_bytes() {
    let golden = b"\x01\x40\x42\x0f\x00\x00\x00\x00\x00\x00\x87\x93\x03\x00\x00\x00\x00\
        \xa0\x2c\x10\x00\x00\x00\x00\x000123456789abcdef";
    assert_eq!(&learned(60).encode(), golden);
    assert_eq!(Learned::decode(golden), Some(learned(60)));
}

#[test]
fn other_bytes_are_nothing_known() {
    let bytes = learned(60).encode();
    for length in 0..bytes.len() {
        assert_eq!(Learned::decode(&bytes[..length]), None);
    }
    assert_eq!(Learned::decode(&[&bytes[..], b"x"].concat()), None);
    assert_eq!(Learned::decode(&[&b"\x02"[..], &bytes[1..]].concat()), None);
}

proptest! {
    /// Whoever can write to the store can write anything there.
    #[test]
    fn whatever_lies_in_the_store_the_ttl_is_within_the_bounds(
        mut bytes in prop::collection::vec(any::<u8>(), 0..64),
        own_format in any::<bool>(),
        loaded_at_ms in any::<u64>(),
        replaces in any::<bool>(),
    ) {
        if own_format {
            bytes.resize(41, 0xff);
            bytes[0] = STATE_VERSION;
        }
        let past = Learned::decode(&bytes);
        prop_assert!(past.is_some() || !own_format);
        let refill = Refill { loaded_at_ms, payload_digest: DIGEST, replaces };
        let ttl = Learned::after(&bounds(), past.as_ref(), &refill).entry_lives(Duration::MAX).ttl();
        prop_assert!((seconds(10.0)..=seconds(3_600.0)).contains(&ttl), "{:?}", ttl);
    }
}
