//! What `prep` returns.

use std::{borrow::Cow, fmt, sync::Arc};

use mysql_async::Column;

use super::{AsStatement, Delivery, Unguarded};

/// A statement that the server has prepared once, as the driver's `Statement` is: made by `prep`, and taken by the `exec`
/// methods, by value or by reference.
///
/// It is a text. It is not bound to a connection: on each one that runs it, it is prepared when it is first used there, and kept as
/// the driver keeps prepared texts (`stmt_cache_size`).
#[derive(Clone)]
pub struct Prepared {
    text: Arc<[u8]>,
    delivery: Delivery,
    driver: mysql_async::Statement,
}

impl Prepared {
    pub(crate) fn new(text: &[u8], delivery: Delivery, driver: mysql_async::Statement) -> Self {
        Prepared { text: text.into(), delivery, driver }
    }

    /// The same statement, delivered at least once. See [`Annotate::idempotent`](crate::Annotate::idempotent).
    pub fn idempotent(self) -> Self {
        Prepared { delivery: Delivery::AtLeastOnce, ..self }
    }

    /// How many parameters it has.
    pub fn num_params(&self) -> u16 {
        self.driver.num_params()
    }

    /// The parameters, as the server has described them.
    pub fn params(&self) -> &[Column] {
        self.driver.params()
    }

    /// How many columns its rows have.
    pub fn num_columns(&self) -> u16 {
        self.driver.num_columns()
    }

    /// The columns of its rows, as the server has described them.
    pub fn columns(&self) -> Arc<[Column]> {
        self.driver.columns()
    }
}

impl AsStatement for Prepared {
    fn text(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.text)
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }
}

impl AsStatement for &Prepared {
    fn text(&self) -> Cow<'_, [u8]> {
        (**self).text()
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }
}

impl Unguarded for Prepared {}
impl Unguarded for &Prepared {}

impl super::private::Sealed for Prepared {}
impl super::private::Sealed for &Prepared {}

impl fmt::Debug for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared")
            .field("text", &String::from_utf8_lossy(&self.text))
            .field("delivery", &self.delivery)
            .finish_non_exhaustive()
    }
}
