//! The only randomness of the standard library: the keys of its hash maps, which come from the operating system.

use std::hash::{BuildHasher, RandomState};

/// A random number that cannot be guessed.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0_u8)
}

/// A number from 0 to 1.
pub(crate) fn share() -> f64 {
    random() as f64 / u64::MAX as f64
}
