//! Random texts: no panic, and nothing that is put around or between the tokens hides what a statement leaves.

use super::{Reading, StateKinds, read};

/// Numerical Recipes' linear congruential generator, its high bits.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % limit
    }

    fn pick<'a>(&mut self, from: &[&'a [u8]]) -> &'a [u8] {
        from[self.below(from.len())]
    }
}

const SEED: u64 = 20_261_122;

#[rustfmt::skip]
const TOKENS: &[&[u8]] = &[
    b"SELECT", b"INSERT", b"INTO", b"SET", b"WITH", b"AS", b"CREATE", b"TABLE", b"TEMPORARY", b"FLUSH", b"TABLES", b"LOAD", b"DATA", b"LOCAL",
    b"GET_LOCK", b"LAST_INSERT_ID", b"count", b"f", b"a", b"`a`", b"'s'", b"\"d\"", b"''", b"(", b"(", b")", b")", b",", b".", b";", b"@", b"@@", b"@a",
    b"=", b":=", b":", b":a", b"?", b"1", b"1.5", b"2f", b"--", b"-", b"#", b"/*", b"*/", b"/*!", b"/*+", b"'", b"\"", b"`", b"\\", b"\n", b"$$", b"\0", b"\xff",
    b"\xc3\xa9", b"BEGIN", b"WORK", b"GRANT", b"DEFINER", b"USER", b"VIEW", b"VALUES", b"EXPLAIN", b"GLOBAL", b"autocommit", b"LATERAL", b"NEXT", b"VALUE",
];
const GAPS: &[&[u8]] =
    &[b" ", b"\n", b"\t", b"/**/", b"/* x */", b"/* ' */", b"-- \n", b"-- ` x\n", b"# \" (\n", b" /* ; */ "];

/// A gap more changes nothing but where the statement ends; a semicolon in it matters where nothing is certain.
#[track_caller]
fn assert_alike(gapped: Reading, plain: Reading, shown: &str) {
    if plain.state().contains(StateKinds::UNKNOWN) {
        assert_eq!(gapped.certain(), plain.certain(), "{shown:?}");
    } else {
        assert_eq!(gapped.without_end(), plain.without_end(), "{shown:?}");
    }
}

#[test]
fn random_bytes_never_panic() {
    println!("seed {SEED}");
    let mut random = Random(SEED);
    for _ in 0..40_000 {
        let length = random.below(40);
        let sql: Vec<u8> = (0..length).map(|_| random.below(256) as u8).collect();
        let _ = read(&sql);
    }
}

#[test]
fn gaps_around_a_text_hide_nothing() {
    println!("seed {SEED}");
    let mut random = Random(SEED);
    for _ in 0..60_000 {
        let mut sql = Vec::new();
        for _ in 0..random.below(12) {
            sql.extend_from_slice(random.pick(TOKENS));
            if random.below(3) > 0 {
                sql.push(b' ');
            }
        }
        let bare = read(&sql);
        let mut before = random.pick(GAPS).to_vec();
        before.extend_from_slice(&sql);
        let shown = String::from_utf8_lossy(&before).into_owned();
        assert_alike(read(&before), bare, &shown);
        let mut after = sql.clone();
        after.push(b'\n');
        if !bare.state().contains(StateKinds::UNKNOWN) {
            // Nothing is open at the end that the comment could close.
            after.extend_from_slice(random.pick(GAPS));
        }
        let after = read(&after);
        if !bare.state().is_neutral() {
            let shown = String::from_utf8_lossy(&sql).into_owned();
            assert!(!after.state().is_neutral(), "{shown:?}");
        }
    }
}

#[test]
fn gaps_between_tokens_change_nothing() {
    println!("seed {SEED}");
    let mut random = Random(SEED);
    let whole: Vec<&[u8]> = TOKENS
        .iter()
        .copied()
        .filter(|token| {
            // no beginning of a comment or string, nothing that depends on what stands next to it
            let open: [&[u8]; 13] =
                [b"--", b"-", b"#", b"/*", b"*/", b"/*!", b"/*+", b"'", b"\"", b"`", b"\\", b"@", b":"];
            !open.contains(token)
        })
        .collect();
    for _ in 0..60_000 {
        let tokens: Vec<&[u8]> = (0..random.below(12)).map(|_| random.pick(&whole)).collect();
        let plain = tokens.join(&b' ');
        let mut gapped = Vec::new();
        for token in &tokens {
            gapped.extend_from_slice(random.pick(GAPS));
            gapped.extend_from_slice(token);
            gapped.extend_from_slice(random.pick(GAPS));
        }
        let shown = String::from_utf8_lossy(&gapped).into_owned();
        assert_alike(read(&gapped), read(&plain), &shown);
    }
}

#[test]
fn a_statement_cut_anywhere_is_read_without_panic() {
    let sql = br#"WITH a (x) AS (SELECT LAST_INSERT_ID(1), 'a''b', "c", `d`, 1.5e3 /* x */ -- y
        ) SELECT @a, @@b, f(:c), ? INTO @d FROM t WHERE x = 'y\'' # z"#;
    for from in 0..sql.len() {
        for to in from..sql.len() {
            let _ = read(&sql[from..to]);
        }
    }
}

#[test]
fn texts_of_a_megabyte_are_read_to_the_end() {
    let row: &[u8] = b"(1, 'some text', 2.5, NULL, NOW()), ";
    let mut sql = b"INSERT INTO t (a, b, c, d, e) VALUES ".to_vec();
    while sql.len() < 1 << 20 {
        sql.extend_from_slice(row);
    }
    sql.extend_from_slice(b"(1, '', 1, 1, 1)");
    assert!(read(&sql).state().is_neutral());
    let end = sql.len() - 2;
    sql.splice(end.., b"@a)".iter().copied());
    assert!(!read(&sql).state().is_neutral());
    for byte in [b'(', b')', b'\'', b'"', b'`', b'@', b';', b'a', b'\\', 0, 0xff, b'/', b'*', b'-', b'#'] {
        let _ = read(&vec![byte; 1 << 20]);
    }
    // Looking ahead from one place must not be repeated from the next.
    let _ = read("a(".repeat(1 << 19).as_bytes());
    let _ = read(["WITH ".to_owned(), "a(b,".repeat(1 << 18)].concat().as_bytes());
    let _ = read("SELECT 1, a(b) AS (".repeat(1 << 15).as_bytes());
}
