use std::hash::BuildHasher;

use super::*;

#[test]
fn a_connection_in_use_keeps_its_record_however_long_it_is_used() {
    let records = Records::new(4, None);
    records.insert(Record::new(7, None, 0));
    let in_use = records.lock()[&7].clone();
    for key in 0..1000 {
        records.insert(Record::new(key * 64, None, 0));
    }
    assert!(Arc::ptr_eq(&in_use, &records.lock()[&7]));
}

#[test]
fn records_of_connections_that_died_in_the_pool_do_not_pile_up() {
    let records = Records::new(4, None);
    for key in 0..10_000 {
        records.insert(Record::new(key * 64, None, 0));
        assert!(records.lock().len() <= records.limit);
    }
    let newest = records.lock().contains_key(&(9_999 * 64));
    assert!(newest, "the record of the newest connection was dropped");
}

#[test]
fn where_records_pile_up_the_older_half_is_forgotten() {
    let records = Records::new(4, None);
    let began = Instant::now();
    let used_after = |key: usize| {
        let record = Record::new(key, None, 0);
        record.lock().last_used = began + Duration::from_millis(key.try_into().expect("small"));
        record
    };
    let limit = records.limit;
    for key in 0..limit {
        records.insert(used_after(key));
    }
    assert_eq!(records.lock().len(), limit, "forgotten before there were too many");
    records.insert(used_after(limit));
    let mut kept: Vec<Key> = records.lock().keys().copied().collect();
    kept.sort_unstable();
    assert_eq!(kept, (limit / 2 + 1..=limit).collect::<Vec<Key>>());
}

#[test]
fn answers_are_counted_also_of_connections_whose_records_were_dropped() {
    let records = Records::new(4, None);
    for key in 0..1_000 {
        let record = Record::new(key % 500, None, 0);
        record.lock().answers = 2;
        records.insert(record);
    }
    records.remove(499);
    records.remove(499);
    assert_eq!(records.answers(), 2_000);
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
