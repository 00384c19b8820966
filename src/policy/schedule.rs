//! The delays between attempts: exponential, capped, with jitter.
//!
//! This is the only module that uses the `backoff` crate, and it uses only its arithmetic. That crate (0.4.0) has no bound
//! on the number of attempts, ends after 15 minutes by a clock of its own, and validates nothing. Its jitter can exceed the
//! maximum interval by half.

use std::time::Duration;

use backoff::{Clock, ExponentialBackoff, backoff::Backoff as _};

use crate::policy::Delays;

/// 136 years. Longer delays would overflow the floating-point arithmetic.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// The delays of one call, in order.
#[derive(Debug)]
pub(crate) struct Schedule {
    backoff: ExponentialBackoff,
    maximum: Duration,
}

impl Schedule {
    /// A schedule whose n-th delay lies in `[d * (1 - jitter), d]` with `d = min(initial * multiplier^n, maximum)`, but
    /// for the rounding to whole nanoseconds.
    pub(crate) fn new(delays: &Delays) -> Self {
        // `backoff` draws from [i * (1 - r), i * (1 + r)] around an interval i. With i the middle of the wanted range
        // and r its half width relative to i, that range is met, and the maximum is never exceeded.
        let middle = 1.0 - delays.jitter / 2.0;
        let interval = delays.initial.min(LONGEST).mul_f64(middle);
        Schedule {
            backoff: ExponentialBackoff {
                current_interval: interval,
                initial_interval: interval,
                randomization_factor: delays.jitter / (2.0 - delays.jitter),
                multiplier: delays.multiplier,
                max_interval: delays.maximum.min(LONGEST).mul_f64(middle),
                start_time: backoff::SystemClock::default().now(),
                max_elapsed_time: None,
                clock: backoff::SystemClock::default(),
            },
            maximum: delays.maximum,
        }
    }

    /// The next delay. Never more than the maximum.
    pub(crate) fn next(&mut self) -> Duration {
        let before = self.backoff.current_interval;
        let delay = self.backoff.next_backoff().map_or(self.maximum, |delay| delay.min(self.maximum));
        // An interval of a few nanoseconds would be rounded down to itself, or to zero, at each step.
        if self.backoff.multiplier > 1.0 && self.backoff.current_interval <= before {
            self.backoff.current_interval = (before + Duration::from_nanos(1)).min(self.backoff.max_interval);
        }
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

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

    #[test]
    fn the_longest_durations_do_not_overflow() {
        for jitter in [0.0, f64::MIN_POSITIVE, 0.5, 1.0] {
            for initial in [Duration::from_nanos(1), Duration::MAX] {
                let delays = Delays { initial, maximum: Duration::MAX, multiplier: f64::MAX, jitter };
                let mut schedule = Schedule::new(&delays);
                for _ in 0..10 {
                    schedule.next();
                }
            }
        }
    }

    #[test]
    fn a_delay_of_a_nanosecond_grows_all_the_same() {
        for (multiplier, jitter) in [(2.0, 1.0), (1e308, 1.0), (1.2, 0.0), (2.0, 0.5)] {
            let maximum = Duration::from_secs(1);
            let mut schedule = Schedule::new(&Delays { initial: Duration::from_nanos(1), maximum, multiplier, jitter });
            // a hundred draws from half the maximum or more: one of them is over a millisecond, but for 1 in 2^800
            let largest = (0..300).map(|_| schedule.next()).max();
            assert!(largest > Some(Duration::from_millis(1)), "{multiplier} {jitter}: {largest:?}");
        }
    }

    #[test]
    fn with_a_multiplier_of_one_the_delay_stays() {
        let mut schedule = Schedule::new(&delays(100, 1000, 1.0, 0.0));
        // to the microsecond: a draw may be rounded up by a nanosecond
        assert!((0..5_000).all(|_| schedule.next().as_micros() == 100_000));
    }

    /// Times of every magnitude, from nanoseconds to the longest.
    fn times() -> impl Strategy<Value = Duration> {
        prop_oneof![
            8 => (0_u32..64).prop_flat_map(|bits| 1_u64 << bits..=u64::MAX >> (63 - bits)).prop_map(Duration::from_nanos),
            2 => (any::<u64>(), 0_u32..1_000_000_000).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
            1 => prop::sample::select(vec![Duration::from_nanos(1), LONGEST, Duration::MAX]),
        ]
        .prop_filter("a delay of zero is refused", |time| !time.is_zero())
    }

    /// Whatever a policy lets pass.
    fn valid_delays() -> impl Strategy<Value = Delays> {
        let multiplier = prop_oneof![
            4 => 1.0..10.0,
            1 => (0.0_f64..308.0).prop_map(|exponent| 10_f64.powf(exponent)),
            1 => prop::sample::select(vec![1.0, 1.0 + f64::EPSILON, 1e308, f64::MAX]),
        ];
        let jitter =
            prop_oneof![4 => 0.0..=1.0, 1 => prop::sample::select(vec![0.0, -0.0, f64::MIN_POSITIVE, 5e-324, 1.0])];
        (times(), times(), multiplier, jitter).prop_map(|(one, other, multiplier, jitter)| Delays {
            initial: one.min(other),
            maximum: one.max(other),
            multiplier,
            jitter,
        })
    }

    proptest! {
        // what failed is printed, and made a test; no files beside the source
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_valid_value_makes_a_delay_panic_or_exceed_the_maximum(delays in valid_delays(), draws in 1_usize..200) {
            let mut schedule = Schedule::new(&delays);
            for _ in 0..draws {
                prop_assert!(schedule.next() <= delays.maximum);
            }
        }

        #[test]
        fn each_delay_lies_in_its_range(delays in valid_delays()) {
            let capped = Delays { maximum: delays.maximum.min(LONGEST), initial: delays.initial.min(LONGEST), ..delays };
            let mut schedule = Schedule::new(&delays);
            // in nanoseconds: the ideal interval, and how far the rounding of each step may have led away from it
            let (mut ideal, mut slack) = (capped.initial.as_nanos() as f64, 2.0);
            let maximum = capped.maximum.as_nanos() as f64;
            for step in 0..20 {
                let delay = schedule.next().as_nanos() as f64;
                let tolerance = slack + ideal * 1e-12;
                let least = ideal * (1.0 - delays.jitter) - tolerance;
                prop_assert!((least..=ideal + tolerance).contains(&delay), "delay {step}: {delay} ns of {ideal} ns");
                ideal = (ideal * delays.multiplier).min(maximum);
                slack = (slack * delays.multiplier + 2.0).min(maximum);
            }
        }

        #[test]
        fn without_jitter_no_delay_is_shorter_than_the_one_before(delays in valid_delays()) {
            let mut schedule = Schedule::new(&Delays { jitter: 0.0, ..delays });
            let mut before = Duration::ZERO;
            for step in 0..100 {
                let delay = schedule.next();
                // a draw may be rounded up to the next nanosecond, or to whatever floating point still tells apart
                let tick = Duration::from_nanos(1 + (before.as_nanos() >> 50) as u64);
                prop_assert!(delay + tick >= before, "delay {step}: {delay:?} after {before:?}");
                before = before.max(delay);
            }
        }

        #[test]
        fn without_jitter_the_maximum_is_reached_and_kept(
            (initial, maximum, multiplier) in (1_u64..=1_000_000_000, 1_u64..=1_000_000_000, 1.5..1e9)
        ) {
            let maximum = Duration::from_nanos(maximum.max(initial));
            let mut schedule =
                Schedule::new(&Delays { initial: Duration::from_nanos(initial), maximum, multiplier, jitter: 0.0 });
            // 1.5^60 is more than all of the range
            for _ in 0..60 {
                schedule.next();
            }
            for _ in 0..5 {
                prop_assert_eq!(schedule.next(), maximum);
            }
        }
    }
}
