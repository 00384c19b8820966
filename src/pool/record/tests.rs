use super::*;

#[test]
fn the_idle_limit_stays_below_the_servers_wait_timeout() {
    let seconds = Duration::from_secs_f64;
    for (wait_timeout, limit) in
        [(28_800.0, 28_740.0), (600.0, 540.0), (30.0, 27.0), (2.0, 1.0), (1.0, 0.5), (0.0, 0.0)]
    {
        assert_eq!(idle_limit(seconds(wait_timeout)), seconds(limit), "{wait_timeout}");
    }
}

#[test]
fn a_connection_is_over_when_it_idled_for_its_limit() {
    let (records, record) = (Records::new(4, None), Record::new(7, None, 0));
    let last_used = {
        let mut known = record.lock();
        (known.idle_limit, known.new) = (Duration::from_secs(9), false);
        known.last_used
    };
    let after = |seconds| last_used + Duration::from_secs(seconds);
    assert_eq!(record.condition(&records, after(8)), Condition::Idle(last_used));
    assert_eq!(record.condition(&records, after(9)), Condition::Over);
}

#[test]
fn ages_differ_by_up_to_a_tenth() {
    let age = Duration::from_secs(1000);
    let ages: Vec<Duration> = (0..100).map(|_| jittered(age)).collect();
    assert!(ages.iter().all(|&it| it >= age && it <= age + age / 10), "{ages:?}");
    assert!(ages.iter().max() > ages.iter().min(), "{ages:?}");
}

#[test]
fn a_connection_is_over_at_its_age_whatever_its_use() {
    let records = Records::new(4, None);
    let record = Record::new(7, Some(Duration::from_secs(100)), 0);
    let after = |seconds| record.made + Duration::from_secs(seconds);
    assert_eq!(record.condition(&records, after(99)), Condition::New);
    assert_eq!(record.condition(&records, after(110)), Condition::Over);
    assert_eq!(Record::new(7, None, 0).condition(&records, after(110)), Condition::New);
}

#[test]
fn a_connection_is_over_when_its_generation_is_or_its_record_was_dropped() {
    let records = Records::new(4, None);
    let record = Record::new(7, None, 0);
    assert!(record.is_current(&records) && !record.is_too_old(&records, Instant::now()));
    records.renounce();
    assert!(!record.is_current(&records) && record.is_too_old(&records, Instant::now()));
    assert_eq!(record.condition(&records, Instant::now()), Condition::Over);
    assert_eq!(Record::unknown(7).condition(&records, Instant::now()), Condition::Over);
    assert_eq!(Record::unknown(7).made(), None);
}
