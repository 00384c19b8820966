//! Axes: from values to places, and where the ticks stand.

/// A mapping from values to places of a picture.
#[derive(Clone, Debug)]
pub struct Scale {
    /// What is evenly spaced: the value, or its logarithm.
    even: fn(f64) -> f64,
    near: f64,
    /// How much one more of what is evenly spaced takes.
    unit: f64,
    /// The values with a tick.
    pub ticks: Vec<f64>,
}

impl Scale {
    /// From 0 at `near` to `top` at `far`, with a tick at about `count` round values.
    pub fn linear(top: f64, count: u32, (near, far): (f64, f64)) -> Self {
        let step = round(top / f64::from(count));
        let ticks = (0..).map(|n| f64::from(n) * step).take_while(|value| *value <= top + 1e-9).collect();
        Scale { even: |value| value, near, unit: (far - near) / top, ticks }
    }

    /// From 1 at `near` to the least power of ten that is not under `highest` at `far`, with a tick at each power: for what
    /// differs by factors, such as milliseconds and minutes. Less than 1, 0 included, stands where 1 does.
    pub fn logarithmic(highest: f64, (near, far): (f64, f64)) -> Self {
        let powers = highest.max(10.0).log10().ceil() as i32;
        let ticks = (0..=powers).map(|power| 10_f64.powi(power)).collect();
        Scale { even: |value| value.max(1.0).log10(), near, unit: (far - near) / f64::from(powers), ticks }
    }

    /// The place of a value.
    pub fn at(&self, value: f64) -> f64 {
        self.near + self.unit * (self.even)(value)
    }
}

/// The least of 1, 2, 5, 10, 20, 50 and so on that is not under a value.
fn round(value: f64) -> f64 {
    let power = 10_f64.powf(value.max(1.0).log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= value - 1e-9);
    factor.unwrap_or(10.0) * power
}
