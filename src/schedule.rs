//! The delays between attempts: exponential, capped, with jitter.
//!
//! The only module that knows the `backoff` crate, and it uses its arithmetic alone: that crate has no bound on the
//! number of attempts, ends by a clock of its own after 15 minutes, validates nothing, and its jitter exceeds the
//! maximum interval by half.

use std::time::Duration;

use backoff::{Clock, ExponentialBackoff, backoff::Backoff as _};

use crate::policy::Delays;

/// The delays of one call, in order.
#[derive(Debug)]
pub(crate) struct Schedule {
    backoff: ExponentialBackoff,
    maximum: Duration,
}

impl Schedule {
    /// A schedule whose n-th delay lies in `[d * (1 - jitter), d]` with `d = min(initial * multiplier^n, maximum)`.
    pub(crate) fn new(delays: &Delays) -> Self {
        // `backoff` draws from [i * (1 - r), i * (1 + r)] around an interval i. With i the middle of the wanted range
        // and r its half width relative to i, that range is met, and the maximum is never exceeded.
        let middle = 1.0 - delays.jitter / 2.0;
        let interval = delays.initial.mul_f64(middle);
        Schedule {
            backoff: ExponentialBackoff {
                current_interval: interval,
                initial_interval: interval,
                randomization_factor: delays.jitter / (2.0 - delays.jitter),
                multiplier: delays.multiplier,
                max_interval: delays.maximum.mul_f64(middle),
                start_time: backoff::SystemClock::default().now(),
                max_elapsed_time: None,
                clock: backoff::SystemClock::default(),
            },
            maximum: delays.maximum,
        }
    }

    /// The next delay. Never more than the maximum.
    pub(crate) fn next(&mut self) -> Duration {
        self.backoff.next_backoff().map_or(self.maximum, |delay| delay.min(self.maximum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(initial_ms: u64, maximum_ms: u64, multiplier: f64, jitter: f64) -> Delays {
        Delays {
            initial: Duration::from_millis(initial_ms),
            maximum: Duration::from_millis(maximum_ms),
            multiplier,
            jitter,
        }
    }

    #[test]
    fn without_jitter_delays_grow_by_the_multiplier_up_to_the_maximum() {
        let mut schedule = Schedule::new(&delays(100, 1000, 2.0, 0.0));
        let got: Vec<u128> = (0..6).map(|_| schedule.next().as_millis()).collect();
        assert_eq!(got, [100, 200, 400, 800, 1000, 1000]);
    }

    #[test]
    fn with_full_jitter_delays_fill_the_range_from_zero_and_never_exceed_it() {
        let (mut smallest, mut largest) = (Duration::MAX, Duration::ZERO);
        for _ in 0..2000 {
            let mut schedule = Schedule::new(&delays(100, 400, 2.0, 1.0));
            for limit in [100, 200, 400, 400] {
                let delay = schedule.next();
                assert!(delay <= Duration::from_millis(limit), "{delay:?} > {limit} ms");
                if limit == 100 {
                    smallest = smallest.min(delay);
                    largest = largest.max(delay);
                }
            }
        }
        // 2,000 draws miss the outer tenth of the range with a probability of 0.9^2000 < 1e-91
        assert!(smallest < Duration::from_millis(10), "{smallest:?}");
        assert!(largest > Duration::from_millis(90), "{largest:?}");
    }

    #[test]
    fn partial_jitter_keeps_the_rest_of_the_delay() {
        for _ in 0..500 {
            let delay = Schedule::new(&delays(100, 400, 2.0, 0.4)).next();
            assert!((60..=100).contains(&delay.as_millis()), "{delay:?} is not within 60 to 100 ms");
        }
    }

    #[test]
    fn extreme_values_neither_overflow_nor_exceed_the_maximum() {
        let year = Duration::from_secs(365 * 24 * 3600);
        let mut schedule =
            Schedule::new(&Delays { initial: Duration::from_nanos(1), maximum: year, multiplier: 1e300, jitter: 1.0 });
        for _ in 0..100 {
            assert!(schedule.next() <= year);
        }
    }
}
