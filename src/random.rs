//! The only randomness of the standard library: the keys of its hash maps, which come from the operating system.

use std::hash::{BuildHasher, RandomState};

/// A number that nobody can guess.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}
