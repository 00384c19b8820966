//! Axes: from values to places, and where the ticks stand.

/// A straight mapping from values, beginning at 0, to pixels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// The value at the far end.
    top: f64,
    zero_at: f64,
    top_at: f64,
}

impl Scale {
    pub(crate) fn new(top: f64, zero_at: f64, top_at: f64) -> Self {
        Scale { top, zero_at, top_at }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        self.zero_at + (self.top_at - self.zero_at) * (value / self.top)
    }

    /// Round values over the whole scale, about `count` of them.
    pub(crate) fn ticks(&self, count: u32) -> Vec<f64> {
        let step = round(self.top / f64::from(count));
        (0..).map(|n| f64::from(n) * step).take_while(|value| *value <= self.top + 1e-9).collect()
    }
}

/// The least of 1, 2, 5, 10, 20, 50 and so on that is not under a value.
fn round(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= value - 1e-9);
    factor.unwrap_or(10.0) * power
}
