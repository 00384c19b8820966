//! Readings of the texts that were read a short while ago.
//!
//! Programs send the same few texts again and again, and to read one costs more than all else that a call does without a fault.
//! So each thread keeps those that it has seen twice. A text with values of its own comes once and takes no place. A reading depends
//! on nothing but the text, so that it never gets old.

use std::cell::RefCell;

use super::{Reading, reader::Reader};

/// How many texts a thread keeps, a power of two, and how long they may be.
const PLACES: usize = 64;
const LONGEST: usize = 512;

#[derive(Clone, Default)]
enum Place {
    #[default]
    Free,
    /// A text with this hash was read once.
    Seen(u64),
    Kept(Box<[u8]>, Reading),
}

thread_local! {
    static RECENT: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn read(sql: &[u8]) -> Reading {
    let anew = || Reader::new(sql).run();
    if sql.len() > LONGEST {
        return anew();
    }
    // a thread that ends has none any more
    RECENT.try_with(|recent| reading(&mut recent.borrow_mut(), sql)).unwrap_or_else(|_| anew())
}

fn reading(places: &mut Vec<Place>, sql: &[u8]) -> Reading {
    if places.is_empty() {
        places.resize(PLACES, Place::Free);
    }
    let hash = hash(sql);
    let place = &mut places[(hash >> 32) as usize % PLACES];
    if let Place::Kept(text, reading) = place
        && **text == *sql
    {
        return *reading;
    }
    let reading = Reader::new(sql).run();
    *place = match place {
        Place::Seen(seen) if *seen == hash => Place::Kept(sql.into(), reading),
        Place::Free | Place::Seen(_) | Place::Kept(..) => Place::Seen(hash),
    };
    reading
}

/// Spreads texts well enough; the text itself is compared.
fn hash(sql: &[u8]) -> u64 {
    let mix = |hash: u64, word: u64| (hash.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let word = |bytes: &[u8]| {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(word)
    };
    let words = sql.chunks_exact(8);
    let last = word(words.remainder());
    mix(words.fold(sql.len() as u64, |hash, bytes| mix(hash, word(bytes))), last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anew(sql: &[u8]) -> Reading {
        Reader::new(sql).run()
    }

    #[test]
    fn a_text_is_kept_when_it_comes_for_the_second_time() {
        let mut places = Vec::new();
        let text = b"SET @a = 1";
        for _ in 0..3 {
            assert_eq!(reading(&mut places, text), anew(text));
        }
        let kept = |places: &[Place]| places.iter().filter(|place| matches!(place, Place::Kept(..))).count();
        assert_eq!(kept(&places), 1);
        for number in 0..10_000 {
            reading(&mut places, format!("SELECT {number}").as_bytes());
        }
        assert_eq!((places.len(), kept(&places)), (PLACES, 0), "texts that came once have taken the place");
    }

    #[test]
    fn texts_that_share_a_place_are_told_apart() {
        let mut places = Vec::new();
        let texts: Vec<String> = (0..1_000)
            .map(|number| match number % 3 {
                0 => format!("SELECT {number}"),
                1 => format!("SET @v{number} = 1"),
                _ => format!("BEGIN; DELETE FROM t{number}"),
            })
            .collect();
        for text in texts.iter().flat_map(|text| [text; 3]).chain(&texts) {
            assert_eq!(reading(&mut places, text.as_bytes()), anew(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn long_texts_are_read_each_time() {
        let text = format!("SELECT '{}'", "x".repeat(LONGEST));
        for _ in 0..3 {
            assert_eq!(read(text.as_bytes()), anew(text.as_bytes()));
        }
    }
}
