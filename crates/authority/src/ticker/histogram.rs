use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How often a duration fell into each of a fixed set of ranges. Recording takes no lock and no
/// memory; a range is at most an eighth as wide as its values.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum_nanos: AtomicU64,
}

impl Histogram {
    /// Adds one.
    pub fn record(&self, duration: Duration) {
        self.buckets[bucket(duration)].fetch_add(1, Relaxed);
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_nanos.fetch_add(nanos, Relaxed);
    }

    /// All that was added, together.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos.load(Relaxed))
    }

    /// The end of each range, and how many of those added do not exceed it.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.buckets
            .iter()
            .enumerate()
            .scan(0, |seen, (index, bucket)| {
                *seen += bucket.load(Relaxed);
                Some((upper_end(index), *seen))
            })
    }

    /// How many were added.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    /// The duration that a share (0–1) of those added do not exceed, rounded up to the end of its
    /// range; zero where there are none.
    pub fn quantile(&self, share: f64) -> Duration {
        let counts = self.buckets.each_ref().map(|bucket| bucket.load(Relaxed));
        let total: u64 = counts.iter().sum();
        if total == 0 {
            return Duration::ZERO;
        }
        let wanted = (total as f64 * share.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_end(index);
            }
        }
        upper_end(BUCKETS - 1)
    }

    /// The median, and the 99th and 99.9th percentile.
    pub fn percentiles(&self) -> [Duration; 3] {
        [0.5, 0.99, 0.999].map(|share| self.quantile(share))
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            sum_nanos: AtomicU64::new(0),
        }
    }
}

/// In units of [`UNIT_NANOS`]: eight buckets of one, then eight for each doubling.
fn bucket(duration: Duration) -> usize {
    let units = duration.as_nanos() / u128::from(UNIT_NANOS);
    let units = u64::try_from(units).unwrap_or(u64::MAX);
    if units < 8 {
        return units as usize;
    }
    let doubling = (units.ilog2() - 3) as usize;
    let within = (units >> doubling) as usize - 8;
    (8 + doubling * 8 + within).min(BUCKETS - 1)
}

fn upper_end(index: usize) -> Duration {
    let units = if index < 8 {
        index as u64 + 1
    } else {
        let (doubling, within) = ((index - 8) / 8, (index - 8) % 8);
        (within as u64 + 9) << doubling
    };
    Duration::from_nanos(units * UNIT_NANOS)
}

/// Finest difference: lateness below it is the clock's own.
const UNIT_NANOS: u64 = 100;
/// 0.1 µs to 100 ns × 16 × 2^25, some 53 s; whatever is longer counts as that.
const BUCKETS: usize = 8 + 8 * 26;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_lies_within_its_bucket() {
        let mut before = 0;
        for nanos in (0..40).flat_map(|bit| [1_u64 << bit, (1 << bit) + (1 << bit) / 3]) {
            let duration = Duration::from_nanos(nanos);
            let index = bucket(duration);
            assert!(index >= before, "{nanos}");
            before = index;
            if index < BUCKETS - 1 {
                let end = upper_end(index);
                assert!(duration < end, "{nanos}");
                assert!(
                    end.as_nanos() as u64 <= nanos + nanos / 8 + UNIT_NANOS,
                    "{nanos}"
                );
            }
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_come_from_the_counts() {
        let histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        for micros in 1..=1_000 {
            histogram.record(Duration::from_micros(micros));
        }
        assert_eq!(histogram.count(), 1_000);
        let [p50, p99, p999] = histogram.percentiles();
        assert!((500..=570).contains(&p50.as_micros()), "{p50:?}");
        assert!((990..=1_120).contains(&p99.as_micros()), "{p99:?}");
        assert!(p999 >= p99);
        assert_eq!(histogram.sum(), Duration::from_micros(500_500));
        assert_eq!(
            histogram.cumulative().last().map(|(_, count)| count),
            Some(1_000)
        );
    }
}
