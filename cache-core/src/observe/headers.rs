//! What an observed future was, as headers of a response.

use std::fmt::Write;
use std::time::Duration;

use super::calls::{CallLog, CallRecord, CallResult};
use crate::config::SERVER_TIMING_METRICS_MAX;

impl CallLog {
    /// The value of the header `Cache-Status` (RFC 9211) for a cache of this name; `None`: there
    /// were no calls.
    ///
    /// It has one member, for one cache has handled the request, however many calls there were.
    /// `hit`: all of them were served from the cache. Else `fwd` says why something was loaded, by
    /// the call that was furthest from a hit: `stale` (an older value stands in for a load that
    /// failed or takes long), `miss`, with `collapsed` if others loaded, and `bypass`. Of more
    /// calls than one, and of a value past its TTL, `detail` says what they were. No key is in it.
    ///
    /// A name that is no token is written as a string; what a string cannot hold becomes `?`.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use cache_core::{Cache, observe};
    /// # let cache = Cache::in_memory();
    /// let load = || async { Ok::<_, std::convert::Infallible>(42) };
    /// let page = || async { cache.get_or_load("answer:7", load).await };
    /// let (_, calls) = observe(page()).await;
    /// assert_eq!(calls.to_cache_status("shop").as_deref(), Some("shop; fwd=miss"));
    /// let (_, calls) = observe(page()).await;
    /// assert_eq!(calls.to_cache_status("shop").as_deref(), Some("shop; hit"));
    /// # }
    /// ```
    pub fn to_cache_status(&self, name: &str) -> Option<String> {
        let furthest = self.calls().iter().map(|call| call.result).max_by_key(|result| distance(*result))?;
        let mut status = identifier(name);
        status.push_str(match furthest {
            CallResult::Hit | CallResult::NearHit | CallResult::Stale => "; hit",
            CallResult::StandIn => "; fwd=stale",
            CallResult::Shared => "; fwd=miss; collapsed",
            CallResult::Miss => "; fwd=miss",
            CallResult::Bypass => "; fwd=bypass",
        });
        if self.calls().len() > 1 || furthest == CallResult::Stale {
            write_parameter(&mut status, "; detail=", &counts(self.calls().iter()));
        }
        Some(status)
    }

    /// The value of the header `Server-Timing`, which browsers show to developers; `None`: there
    /// were no calls.
    ///
    /// One metric for each prefix, in the order of the calls: what its calls were, and how long its
    /// loads took, in ms, one after the other. The loads of calls inside are part of those around
    /// them. 16 prefixes have one each; further ones, and keys given as text without a `:`, share
    /// `other`. No key is in it.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// # use cache_core::{Cache, observe};
    /// # let cache = Cache::in_memory();
    /// # let load = || async { Ok::<_, std::convert::Infallible>(42) };
    /// # let page = || async { cache.get_or_load("answer:7", load).await };
    /// let (_, calls) = observe(async { (page().await, page().await) }).await;
    /// let timing = calls.to_server_timing().unwrap();
    /// assert!(timing.starts_with(r#"answer;desc="hit=1, miss=1";dur="#), "{timing}");
    /// # }
    /// ```
    pub fn to_server_timing(&self) -> Option<String> {
        let mut metrics: Vec<(&str, Vec<&CallRecord>)> = Vec::new();
        let mut others = Vec::new();
        for call in self.calls() {
            let prefix = Some(call.prefix.as_str()).filter(|prefix| call.key.as_deref() != Some(prefix));
            let known = metrics.iter().position(|(known, _)| Some(*known) == prefix);
            match (prefix, known) {
                (_, Some(known)) => metrics[known].1.push(call),
                (Some(prefix), None) if metrics.len() < SERVER_TIMING_METRICS_MAX => {
                    metrics.push((prefix, vec![call]));
                }
                _ => others.push(call),
            }
        }
        if !others.is_empty() {
            metrics.push(("other", others));
        }
        let metrics: Vec<String> = metrics.iter().map(|(prefix, calls)| metric(prefix, calls)).collect();
        (!metrics.is_empty()).then(|| metrics.join(", "))
    }
}

/// How far a result is from a hit.
fn distance(result: CallResult) -> u8 {
    match result {
        CallResult::Hit | CallResult::NearHit => 0,
        CallResult::Stale => 1,
        CallResult::StandIn => 2,
        CallResult::Shared => 3,
        CallResult::Miss => 4,
        CallResult::Bypass => 5,
    }
}

/// How many calls had each result: `hit=2, miss=1`.
fn counts<'a>(calls: impl Iterator<Item = &'a CallRecord> + Clone) -> String {
    let counts = CallResult::ALL.into_iter().filter_map(|result| {
        let count = calls.clone().filter(|call| call.result == result).count();
        (count > 0).then(|| format!("{}={count}", result.word()))
    });
    counts.collect::<Vec<_>>().join(", ")
}

/// A token of RFC 8941, or else a string.
fn identifier(name: &str) -> String {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '*';
    let is_token = name.starts_with(is_first) && name.chars().all(|c| is_tchar(c) || matches!(c, ':' | '/'));
    let mut identifier = String::new();
    if is_token {
        identifier.push_str(name);
    } else {
        write_parameter(&mut identifier, "", name);
    }
    identifier
}

/// A string of RFC 8941, which is a quoted string of RFC 9110 as well.
fn write_parameter(header: &mut String, name: &str, value: &str) {
    header.push_str(name);
    header.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => header.extend(['\\', c]),
            ' '..='~' => header.push(c),
            _ => header.push('?'),
        }
    }
    header.push('"');
}

fn metric(prefix: &str, calls: &[&CallRecord]) -> String {
    let mut metric: String = prefix.chars().map(|c| if is_tchar(c) { c } else { '_' }).collect();
    write_parameter(&mut metric, ";desc=", &counts(calls.iter().copied()));
    let times: Vec<Duration> = calls.iter().filter_map(|call| call.load_time).collect();
    if !times.is_empty() {
        let ms = times.iter().sum::<Duration>().as_secs_f64() * 1e3;
        // A String takes whatever it is given.
        let _ = write!(metric, ";dur={ms:.3}");
    }
    metric
}

/// A character of a token (RFC 9110).
fn is_tchar(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::CallObserver;

    fn log(calls: &[(CallResult, &str, Option<u64>)]) -> CallLog {
        let observer = CallObserver::inside(None);
        for (result, prefix, load_us) in calls {
            let mark = observer.record(*result, prefix, Some(&format!("{prefix}:1"))).unwrap();
            load_us.iter().for_each(|us| mark.loaded(Duration::from_micros(*us)));
        }
        observer.take()
    }

    #[test]
    fn the_call_that_is_furthest_from_a_hit_is_the_status() {
        use CallResult::{Bypass, Hit, Miss, NearHit, Shared, Stale, StandIn};
        let status = |results: &[CallResult]| {
            let calls: Vec<_> = results.iter().map(|result| (*result, "p", None)).collect();
            log(&calls).to_cache_status("c")
        };
        assert_eq!(status(&[]), None);
        assert_eq!(status(&[Hit]).unwrap(), "c; hit");
        assert_eq!(status(&[NearHit]).unwrap(), "c; hit");
        assert_eq!(status(&[Stale]).unwrap(), r#"c; hit; detail="stale=1""#);
        assert_eq!(status(&[StandIn]).unwrap(), "c; fwd=stale");
        assert_eq!(status(&[Shared]).unwrap(), "c; fwd=miss; collapsed");
        assert_eq!(status(&[Miss]).unwrap(), "c; fwd=miss");
        assert_eq!(status(&[Bypass]).unwrap(), "c; fwd=bypass");
        assert_eq!(status(&[Hit, NearHit, Hit]).unwrap(), r#"c; hit; detail="hit=2, near_hit=1""#);
        assert_eq!(status(&[Shared, Miss, Hit]).unwrap(), r#"c; fwd=miss; detail="hit=1, shared=1, miss=1""#);
        let all = [Bypass, Miss, Shared, StandIn, Stale, Hit];
        let detail = r#""hit=1, stale=1, stand_in=1, shared=1, miss=1, bypass=1""#;
        assert_eq!(status(&all).unwrap(), format!("c; fwd=bypass; detail={detail}"));
    }

    #[test]
    fn a_name_is_a_token_or_a_string() {
        let status = |name: &str| log(&[(CallResult::Hit, "p", None)]).to_cache_status(name).unwrap();
        assert_eq!(status("*a:b/c!#$%&'*+-.^_`|~9"), "*a:b/c!#$%&'*+-.^_`|~9; hit");
        assert_eq!(status("9a"), r#""9a"; hit"#);
        assert_eq!(status(""), r#"""; hit"#);
        assert_eq!(status("a b, \"c\"\\;\r\nX: é"), r#""a b, \"c\"\\;??X: ?"; hit"#);
    }

    #[test]
    fn each_prefix_has_a_timing_and_few_have_one() {
        let calls = log(&[
            (CallResult::Miss, "flight", Some(1_500)),
            (CallResult::Hit, "flüge/x y", None),
            (CallResult::Miss, "flight", Some(250)),
        ]);
        let timing = r#"flight;desc="miss=2";dur=1.750, fl_ge_x_y;desc="hit=1""#;
        assert_eq!(calls.to_server_timing().as_deref(), Some(timing));
        assert_eq!(CallLog::default().to_server_timing(), None);
        let many: Vec<String> = (0..SERVER_TIMING_METRICS_MAX + 2).map(|prefix| format!("p{prefix}")).collect();
        let many: Vec<_> = many.iter().map(|prefix| (CallResult::Hit, prefix.as_str(), None)).collect();
        let timing = log(&many).to_server_timing().unwrap();
        assert!(timing.ends_with(r#", p15;desc="hit=1", other;desc="hit=2""#), "{timing}");
    }

    #[test]
    fn a_key_that_is_text_is_not_said() {
        let observer = CallObserver::inside(None);
        observer.record(CallResult::Hit, "ann@example.com", Some("ann@example.com"));
        let log = observer.take();
        assert_eq!(log.to_server_timing().as_deref(), Some(r#"other;desc="hit=1""#));
        assert_eq!(log.to_cache_status("c").as_deref(), Some("c; hit"));
    }
}
