use std::hash::BuildHasher;

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
    let record = Record { idle_limit: Duration::from_secs(9), new: false, ..Record::new(None, 0) };
    let after = |seconds| record.last_used + Duration::from_secs(seconds);
    assert_eq!(record.condition(after(8)), Condition::Idle(Duration::from_secs(8)));
    assert_eq!(record.condition(after(9)), Condition::Over);
}

#[test]
fn a_connection_in_use_keeps_its_record_however_long_it_is_used() {
    let records = Records::new(4, None);
    records.insert(7, Record { leased: true, ..Record::new(None, 0) });
    for key in 0..1000 {
        records.insert(key * 64, Record::new(None, 0));
    }
    assert!(records.lock().by_connection.contains_key(&7));
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
    let record = Record::new(Some(Duration::from_secs(100)), 0);
    let after = |seconds| record.last_used + Duration::from_secs(seconds);
    assert_eq!(record.condition(after(99)), Condition::New);
    assert_eq!(record.condition(after(110)), Condition::Over);
    assert_eq!(Record::new(None, 0).condition(after(110)), Condition::New);
}

#[test]
fn records_of_connections_that_died_in_the_pool_do_not_pile_up() {
    let records = Records::new(4, None);
    for key in 0..10_000 {
        records.insert(key * 64, Record::new(None, 0));
        assert!(records.lock().by_connection.len() <= records.limit);
    }
    let newest = records.lock().by_connection.contains_key(&(9_999 * 64));
    assert!(newest, "the record of the newest connection was dropped");
}

#[test]
fn where_records_pile_up_the_older_half_is_forgotten() {
    let records = Records::new(4, None);
    let began = Instant::now();
    let used_after = |key: usize| Record {
        last_used: began + Duration::from_millis(key.try_into().expect("small")),
        ..Record::new(None, 0)
    };
    let limit = records.limit;
    for key in 0..limit {
        records.insert(key, used_after(key));
    }
    assert_eq!(records.lock().by_connection.len(), limit, "forgotten before there were too many");
    records.insert(limit, used_after(limit));
    let mut kept: Vec<Key> = records.lock().by_connection.keys().copied().collect();
    kept.sort_unstable();
    assert_eq!(kept, (limit / 2 + 1..=limit).collect::<Vec<Key>>());
}

#[test]
fn addresses_of_heap_blocks_are_spread_over_the_table() {
    let hashes: Vec<u64> = (0..1024_usize)
        .map(|block| BuildHasherDefault::<Identity>::default().hash_one(0x7f00_0000_0000 + block * 512))
        .collect();
    let different =
        |part: fn(u64) -> u64| hashes.iter().map(|&hash| part(hash)).collect::<std::collections::HashSet<u64>>().len();
    // the place in the table, and the tag that is compared before the key
    assert!(different(|hash| hash & 1023) > 600, "{}", different(|hash| hash & 1023));
    assert_eq!(different(|hash| hash >> 57), 128);
}
