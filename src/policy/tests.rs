use super::*;

use proptest::prelude::*;

use crate::policy::Schedule;

#[test]
fn the_defaults_are_valid() {
    assert!(RetryPolicy::builder().build().is_ok());
}

#[test]
fn values_that_make_no_sense_are_refused_by_name() {
    let b = RetryPolicy::builder;
    let ms = Duration::from_millis;
    let refused = [
        (b().deadline(Duration::ZERO), "deadline is 0"),
        (b().attempt_timeout(Duration::ZERO), "attempt_timeout is 0"),
        (b().connect_timeout(Duration::ZERO), "connect_timeout is 0"),
        (b().initial_delay(Duration::ZERO), "initial_delay is 0"),
        (b().max_delay(Duration::ZERO), "max_delay is 0"),
        (b().initial_delay(ms(50)).max_delay(ms(10)), "initial_delay (50ms) is over max_delay (10ms)"),
        (b().multiplier(0.0), "multiplier is 0"),
        (b().multiplier(0.5), "multiplier is 0.5"),
        (b().multiplier(f64::NAN), "multiplier is NaN"),
        (b().multiplier(f64::INFINITY), "multiplier is inf"),
        (b().jitter(-0.1), "jitter is -0.1"),
        (b().jitter(1.5), "jitter is 1.5"),
        (b().jitter(f64::NAN), "jitter is NaN"),
    ];
    for (builder, message) in refused {
        let error = builder.build().expect_err(message);
        assert!(error.to_string().contains(message), "'{error}' does not say '{message}'");
    }
}

#[test]
fn values_at_the_edge_are_taken() {
    let b = RetryPolicy::builder;
    let ms = Duration::from_millis;
    for builder in [
        b().initial_delay(ms(10)).max_delay(ms(10)),
        b().multiplier(1.0),
        b().jitter(0.0),
        b().jitter(1.0),
        b().max_replays(0),
        b().deadline(Duration::from_nanos(1)),
    ] {
        assert!(builder.clone().build().is_ok(), "{builder:?}");
    }
}

#[test]
fn time_outs_can_be_switched_off() {
    let policy = RetryPolicy::builder().attempt_timeout(None).connect_timeout(None).build().expect("valid");
    assert_eq!(policy.settings().connect_timeout, None);
}

fn unlike_the_defaults() -> RetryPolicyBuilder {
    RetryPolicy::builder()
        .deadline(Duration::from_secs(1))
        .max_replays(2)
        .attempt_timeout(Duration::from_secs(3))
        .connect_timeout(Duration::from_secs(4))
        .initial_delay(Duration::from_secs(5))
        .max_delay(Duration::from_secs(6))
        .multiplier(7.0)
        .jitter(0.8)
        .resend_rolled_back(false)
        .replay_unfenced(false)
        .replay_reads(true)
        .classify_with(|_, table| table)
}

#[test]
fn each_setting_arrives_and_is_told() {
    let delays = "Delays { initial: 5s, maximum: 6s, multiplier: 7.0, jitter: 0.8 }";
    let told = format!(
        "RetryPolicy {{ retries: true, deadline: 1s, max_replays: 2, attempt_timeout: Some(3s), connect_timeout: \
         Some(4s), delays: {delays}, resend_rolled_back: false, replay_unfenced: false, \
         replay_reads: true, own_classification: true }}"
    );
    assert_eq!(format!("{:?}", unlike_the_defaults().build().expect("valid")), told);
    assert_eq!(format!("{:?}", unlike_the_defaults()), format!("RetryPolicyBuilder({told})"));
}

#[test]
fn a_policy_that_begins_with_another_has_its_values() {
    let policy = unlike_the_defaults().build().expect("valid");
    let other = policy.to_builder().max_replays(9).build().expect("valid");
    let expected = format!("{policy:?}").replace("max_replays: 2", "max_replays: 9");
    assert_eq!(format!("{other:?}"), expected);
}

#[test]
fn the_policy_without_retries_differs_from_the_default_in_that_alone() {
    let expected = format!("{:?}", RetryPolicy::default()).replace("retries: true", "retries: false");
    assert_eq!(format!("{:?}", RetryPolicy::none()), expected);
}

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        1 => Just(Duration::ZERO),
        1 => Just(Duration::MAX),
        4 => (any::<u64>(), 0_u32..1_000_000_000).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        4 => (0_u64..1_000).prop_map(Duration::from_nanos),
        4 => (0_u64..100_000).prop_map(Duration::from_millis),
    ]
}

fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![prop::num::f64::ANY, 0.0..=1.0, 0.0..10.0]
}

proptest! {
    // what failed is printed, and made a test; no files beside the source
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_makes_sense_is_taken_and_can_be_carried_out(
        [deadline, connect, initial, maximum] in prop::array::uniform4(times()),
        attempt in prop::option::of(times()),
        max_replays in any::<u32>(),
        [multiplier, jitter] in prop::array::uniform2(numbers()),
    ) {
        let policy = RetryPolicy::builder()
            .deadline(deadline)
            .max_replays(max_replays)
            .attempt_timeout(attempt)
            .connect_timeout(connect)
            .initial_delay(initial)
            .max_delay(maximum)
            .multiplier(multiplier)
            .jitter(jitter)
            .build();
        let no_zero = ![deadline, connect, initial, maximum].contains(&Duration::ZERO) && attempt != Some(Duration::ZERO);
        let valid_numbers = multiplier.is_finite() && multiplier >= 1.0 && (0.0..=1.0).contains(&jitter);
        prop_assert_eq!(policy.is_ok(), no_zero && valid_numbers && initial <= maximum);
        if let Ok(policy) = policy {
            let mut schedule = Schedule::new(&policy.settings().delays);
            for _ in 0..20 {
                prop_assert!(schedule.next() <= maximum);
            }
        }
    }
}
