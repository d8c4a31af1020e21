use std::time::Duration;

use super::*;

const HOUR_MS: u64 = 3_600_000;
/// Stored an hour ago by this host's clock, for a TTL of a minute more.
const NOW_MS: u64 = 1_700_000_000_000;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Expires softly in `soft_s` seconds, and the store drops it `window_s` later.
fn times(soft_s: i64, window_s: u64) -> Times {
    let soft_expires_at_ms = NOW_MS.saturating_add_signed(soft_s * 1_000);
    let hard_expires_at_ms = soft_expires_at_ms + window_s * 1_000;
    Times { soft_expires_at_ms, hard_expires_at_ms, load_cost_us: 2_000_000 }
}

fn windows(revalidate_s: u64, error_s: u64) -> Freshness {
    Freshness {
        stale_while_revalidate: seconds(revalidate_s),
        stale_if_error: seconds(error_s),
        ..Freshness::default()
    }
}

fn early(beta: f64) -> Freshness {
    Freshness { early_refresh: Some(beta), ..Freshness::default() }
}

#[track_caller]
fn check(freshness: Freshness, times: Times, step: Decision) {
    assert_eq!(freshness.step(&times, NOW_MS, 0.5), step);
}

#[test]
fn a_fresh_value_is_served_whatever_the_windows() {
    for freshness in [windows(0, 0), windows(30, 0), windows(0, 600), windows(30, 600)] {
        check(freshness, times(1, 600), Decision::Serve);
    }
}

#[test]
fn a_stale_value_is_served_and_refreshed_to_the_end_of_the_window() {
    check(windows(30, 0), times(0, 30), Decision::ServeAndRefresh(Reason::Stale));
    check(windows(30, 0), times(-29, 30), Decision::ServeAndRefresh(Reason::Stale));
    check(windows(30, 0), times(-30, 30), Decision::Expired);
}

#[test]
fn a_stale_value_is_kept_for_a_load_that_fails() {
    check(windows(0, 600), times(0, 600), Decision::LoadOrServe);
    check(windows(0, 600), times(-599, 600), Decision::LoadOrServe);
    check(windows(0, 600), times(-600, 600), Decision::Expired);
}

#[test]
fn the_windows_begin_together_and_revalidation_comes_first() {
    let both = windows(30, 600);
    check(both, times(-29, 600), Decision::ServeAndRefresh(Reason::Stale));
    check(both, times(-30, 600), Decision::LoadOrServe);
    check(both, times(-600, 600), Decision::Expired);
    let longer_revalidation = windows(600, 30);
    check(longer_revalidation, times(-100, 600), Decision::ServeAndRefresh(Reason::Stale));
    check(longer_revalidation, times(-600, 600), Decision::Expired);
}

#[test]
fn the_ttl_holds_for_a_reader_without_windows_of_an_entry_that_has_them() {
    check(windows(0, 0), times(-1, 600), Decision::Expired);
}

#[test]
fn a_clock_that_is_ahead_does_not_end_an_entry_that_the_store_still_has() {
    check(windows(0, 0), times(-1, 0), Decision::Serve);
    check(windows(0, 0), times(-59, 0), Decision::Serve);
    // Beyond any clock's error: bytes that lost their TTL.
    check(windows(0, 0), times(-60, 0), Decision::Expired);
    check(windows(30, 600), times(-660, 600), Decision::Expired);
}

#[test]
fn a_clock_that_is_behind_makes_a_value_younger_and_breaks_nothing() {
    let times = times(60, 30);
    assert_eq!(windows(30, 0).step(&times, NOW_MS - HOUR_MS, 0.5), Decision::Serve);
    assert_eq!(windows(30, 0).step(&times, 0, 0.5), Decision::Serve);
    assert_eq!(early(1.0).step(&times, 0, f64::MIN_POSITIVE), Decision::Serve);
}

#[test]
fn times_at_the_end_of_their_range_saturate() {
    let never = Times { soft_expires_at_ms: u64::MAX, hard_expires_at_ms: u64::MAX, load_cost_us: u32::MAX };
    assert_eq!(windows(30, 600).step(&never, NOW_MS, 0.5), Decision::Serve);
    assert_eq!(windows(30, 600).step(&never, u64::MAX, 0.5), Decision::Expired);
    let long_ago = Times { soft_expires_at_ms: 0, hard_expires_at_ms: 0, load_cost_us: 0 };
    let endless = Freshness { stale_while_revalidate: Duration::MAX, ..Freshness::default() };
    assert_eq!(endless.step(&long_ago, 59_999, 0.5), Decision::ServeAndRefresh(Reason::Stale));
    assert_eq!(endless.lifetime(Duration::MAX, 0.0, 0.0).hard, DURATION_MAX);
}

#[test]
fn early_refresh_follows_the_formula() {
    // 2 s of cost · ln 2 is 1.386 s.
    let soft_in =
        |ms: u64| Times { soft_expires_at_ms: NOW_MS + ms, hard_expires_at_ms: NOW_MS + ms, load_cost_us: 2_000_000 };
    check(early(1.0), soft_in(1_386), Decision::ServeAndRefresh(Reason::Early));
    check(early(1.0), soft_in(1_387), Decision::Serve);
    check(early(2.0), soft_in(2_772), Decision::ServeAndRefresh(Reason::Early));
    check(early(2.0), soft_in(2_773), Decision::Serve);
    check(early(0.0), soft_in(1), Decision::Serve);
    check(Freshness::default(), soft_in(1), Decision::Serve);
}

#[test]
fn early_refresh_looks_at_the_end_of_the_ttl_not_of_the_stale_window() {
    let freshness = Freshness { early_refresh: Some(1.0), ..windows(600, 0) };
    check(freshness, times(1, 600), Decision::ServeAndRefresh(Reason::Early));
}

#[test]
fn a_random_number_at_its_ends_decides_and_breaks_nothing() {
    let in_a_second = times(1, 0);
    assert_eq!(early(1.0).step(&in_a_second, NOW_MS, 1.0), Decision::Serve);
    // The smallest number there is: 744 times the cost.
    let smallest = f64::from_bits(1);
    assert_eq!(early(1.0).step(&times(1_488, 0), NOW_MS, smallest), Decision::ServeAndRefresh(Reason::Early));
    assert_eq!(early(1.0).step(&times(1_490, 0), NOW_MS, smallest), Decision::Serve);
    // Not drawn, but no panic either.
    assert_eq!(early(1.0).step(&in_a_second, NOW_MS, 0.0), Decision::ServeAndRefresh(Reason::Early));
    assert_eq!(early(f64::NAN).step(&in_a_second, NOW_MS, 0.5), Decision::Serve);
}

#[test]
fn a_load_that_costs_nothing_is_never_refreshed_early() {
    for random in [0.0, f64::from_bits(1), 0.5, 1.0] {
        let free = Times { load_cost_us: 0, ..times(1, 0) };
        assert_eq!(early(1.0).step(&free, NOW_MS, random), Decision::Serve);
    }
}

#[test]
fn jitter_shortens_the_ttl_and_leaves_the_windows_as_they_are() {
    let freshness = windows(30, 600);
    let lifetime = |jitter, random| freshness.lifetime(seconds(100), jitter, random);
    assert_eq!(lifetime(0.1, 0.0), Lifetime { soft: seconds(100), hard: seconds(700) });
    assert_eq!(lifetime(0.1, 1.0), Lifetime { soft: seconds(90), hard: seconds(690) });
    assert_eq!(lifetime(0.0, 1.0), Lifetime { soft: seconds(100), hard: seconds(700) });
    assert_eq!(windows(0, 0).lifetime(seconds(100), 0.1, 1.0), Lifetime { soft: seconds(90), hard: seconds(90) });
    // Out of range, and no panic.
    assert_eq!(lifetime(7.0, 1.0), Lifetime { soft: Duration::ZERO, hard: seconds(600) });
}
