//! The parameters of a prepared statement, which the driver consumes and another attempt needs.

use std::mem;

use mysql_async::{Params, Value};

/// A few values that are not on the heap are copied to here, so that the driver gets what the caller has allocated. All else is
/// copied on the heap.
const FEW: usize = 4;

pub(crate) struct Parameters {
    params: Params,
    size: usize,
    /// Copies of the values, if the driver has got the values themselves, and how many there are.
    copies: [Value; FEW],
    copied: usize,
}

impl Parameters {
    pub(crate) fn new(params: Params) -> Self {
        Parameters { size: size_of_params(&params), params, copies: [const { Value::NULL }; FEW], copied: 0 }
    }

    /// How many bytes are sent for them, roughly.
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn for_an_attempt(&mut self) -> Params {
        if self.copied > 0 {
            return Params::Positional(self.copies[..self.copied].to_vec());
        }
        match &self.params {
            Params::Positional(values) if (1..=FEW).contains(&values.len()) && !values.iter().any(is_on_the_heap) => {
                self.copies[..values.len()].clone_from_slice(values);
                self.copied = values.len();
                mem::replace(&mut self.params, Params::Empty)
            }
            Params::Empty | Params::Positional(_) | Params::Named(_) => self.params.clone(),
        }
    }
}

fn is_on_the_heap(value: &Value) -> bool {
    matches!(value, Value::Bytes(_))
}

/// How many bytes are sent for the parameters, roughly.
pub(super) fn size_of_params(params: &Params) -> usize {
    let size = |value: &Value| if let Value::Bytes(bytes) = value { bytes.len() } else { size_of::<Value>() };
    match params {
        Params::Empty => 0,
        Params::Named(values) => values.values().map(size).sum(),
        Params::Positional(values) => values.iter().map(size).sum(),
    }
}

#[cfg(test)]
mod tests {
    use mysql_async::params;

    use super::*;

    #[test]
    fn each_attempt_gets_all_of_them() {
        let texts = Params::from(("a", 1));
        let many = Params::Positional((0..9).map(Value::from).collect());
        for params in [Params::Empty, (7,).into(), (1, 2.5, true, None::<u8>).into(), texts, many, params! { "a" => 1 }]
        {
            let mut kept = Parameters::new(params.clone());
            for _ in 0..3 {
                assert_eq!(kept.for_an_attempt(), params);
                assert_eq!(kept.size(), size_of_params(&params));
            }
        }
    }
}
