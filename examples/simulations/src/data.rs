//! Data that changes at random: when each of many keys does.

/// Rates over time: `(until, changes per second)`, in order.
pub(crate) type Rates = Vec<(f64, f64)>;

/// The instants at which one key changes, in seconds: a Poisson process whose rate follows `rates`.
pub(crate) fn changes(rates: &Rates, random: &mut fastrand::Rng) -> Vec<f64> {
    let mut changes = Vec::new();
    let mut begin = 0.0;
    for &(until, rate) in rates {
        let mut at = begin;
        loop {
            at += exponential(1.0 / rate, random);
            if at >= until {
                break;
            }
            changes.push(at);
        }
        // A Poisson process has no memory: the next rate begins anew.
        begin = until;
    }
    changes
}

/// A random time with this mean.
pub(crate) fn exponential(mean: f64, random: &mut fastrand::Rng) -> f64 {
    -mean * uniform(random).ln()
}

/// Above 0, up to 1.
pub(crate) fn uniform(random: &mut fastrand::Rng) -> f64 {
    1.0 - random.f64()
}

/// A random number whose logarithm is spread evenly.
pub(crate) fn log_uniform(least: f64, most: f64, random: &mut fastrand::Rng) -> f64 {
    least * (most / least).powf(random.f64())
}
