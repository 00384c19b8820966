//! Random numbers that a seed repeats.

use std::time::Duration;

/// A linear congruential generator, as Knuth's MMIX has it: good enough to choose faults, and no dependency.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One stream of a seed. Each user has a stream of its own, so that no timing changes what another one draws.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut random = Random(seed ^ stream.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        // neighbouring seeds begin alike
        for _ in 0..4 {
            random.next();
        }
        random
    }

    /// From 0 to `bound`, which is left out.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A time between two, in milliseconds.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from + 1))
    }

    pub(crate) fn one_of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // the low bits of such a generator are not random
        self.0 >> 33
    }
}

/// Draws without putting back, until nothing is left, and then again: a short run has some of everything.
#[derive(Clone, Debug)]
pub(crate) struct Bag<T> {
    all: Vec<T>,
    left: Vec<T>,
}

impl<T: Clone> Bag<T> {
    pub(crate) fn new(all: &[T]) -> Self {
        Bag { all: all.to_vec(), left: Vec::new() }
    }

    pub(crate) fn draw(&mut self, random: &mut Random) -> T {
        if self.left.is_empty() {
            self.left.clone_from(&self.all);
        }
        self.left.swap_remove(random.below(self.left.len() as u64) as usize)
    }
}
