//! Axes: from values to places, and where the ticks stand.

/// A logarithmic mapping from values to pixels: what is compared differs by factors, from milliseconds to minutes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// The power of ten at the far end; the near one is 1.
    top: i32,
    one_at: f64,
    top_at: f64,
}

impl Scale {
    /// From 1 to the least power of ten that is not under `highest`.
    pub(crate) fn new(highest: f64, one_at: f64, top_at: f64) -> Self {
        Scale { top: highest.max(10.0).log10().ceil() as i32, one_at, top_at }
    }

    /// Less than 1, 0 included, stands where 1 does.
    pub(crate) fn at(&self, value: f64) -> f64 {
        self.one_at + (self.top_at - self.one_at) * value.max(1.0).log10() / f64::from(self.top)
    }

    /// The powers of ten.
    pub(crate) fn ticks(&self) -> Vec<f64> {
        (0..=self.top).map(|power| 10_f64.powi(power)).collect()
    }
}
