//! A statement and what it tolerates.
//!
//! Whether a statement may run twice is a property of the statement, and only its author knows it. So the delivery is
//! written beside the text, and is passed on with it.

use std::{borrow::Cow, fmt};

use mysql_async::prelude::AsQuery;

mod prepared;
mod text;
mod token;

pub use prepared::Prepared;
pub use token::Token;
pub(crate) use token::random_bytes;

/// What a statement tolerates when its connection is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Executed 0 or 1 times, never 2: sent again only while it is proved that the server did not execute it.
    /// The default.
    #[default]
    AtMostOnce,
    /// Replayed until it succeeds or the policy ends; may be executed more than once. Asked for with
    /// [`idempotent`](Annotate::idempotent).
    AtLeastOnce,
    /// Executed once, also when the reply, or the reply to COMMIT, was lost: a token in the guard's table decides. Asked for
    /// with [`exactly_once`](Annotate::exactly_once), or that of a [`Transaction`](crate::Transaction::exactly_once).
    ExactlyOnce,
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Delivery::AtMostOnce => "at most once",
            Delivery::AtLeastOnce => "at least once",
            Delivery::ExactlyOnce => "exactly once",
        })
    }
}

/// The text of a statement together with its [`Delivery`].
///
/// Made by [`Annotate::idempotent`] from any text, or, where a `const` is wanted, by [`Statement::new`]:
///
/// ```
/// use mysql_retry::{Annotate, Delivery, Statement};
///
/// const FIND: Statement = Statement::new("SELECT name FROM user WHERE id = ?").idempotent();
///
/// assert_eq!(FIND.delivery(), Delivery::AtLeastOnce);
/// assert_eq!("UPDATE user SET seen = 1 WHERE id = ?".idempotent().delivery(), Delivery::AtLeastOnce);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Statement<Q = &'static str> {
    sql: Q,
    delivery: Delivery,
}

impl<'a> Statement<&'a str> {
    /// A statement that is delivered at most once.
    pub const fn new(sql: &'a str) -> Self {
        Statement { sql, delivery: Delivery::AtMostOnce }
    }

    /// The same statement, delivered at least once. See [`Annotate::idempotent`] for what that asks of it.
    pub const fn idempotent(self) -> Self {
        Statement { sql: self.sql, delivery: Delivery::AtLeastOnce }
    }
}

impl<Q: AsQuery> Statement<Q> {
    /// Guards the statement with a token. See [`Annotate::exactly_once`].
    ///
    /// ```
    /// use mysql_retry::Statement;
    ///
    /// const PAY: Statement = Statement::new("INSERT INTO payment (customer, amount) VALUES (?, ?)");
    ///
    /// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// exec.exec_drop(PAY.exactly_once("order 4711"), (3, 100)).await?;
    /// # Ok(()) }
    /// ```
    pub fn exactly_once(self, token: impl Into<Token>) -> Guarded<Q> {
        Guarded { sql: self.sql, token: token.into() }
    }
}

impl<Q> Statement<Q> {
    /// The text.
    pub const fn sql(&self) -> &Q {
        &self.sql
    }

    /// What the statement tolerates.
    pub const fn delivery(&self) -> Delivery {
        self.delivery
    }
}

/// Annotations for everything that the driver takes as a query: `&str`, `String`, `Vec<u8>`, `Cow<str>` and so on.
pub trait Annotate: AsQuery + Sized {
    /// Declares that running the statement twice does no more than running it once, so that it may be replayed
    /// when its connection was lost and it is not known whether it ran.
    ///
    /// Reads are idempotent, and so are `UPDATE .. SET x = 7`, `DELETE .. WHERE id = 3`, `REPLACE`, and
    /// `INSERT .. ON DUPLICATE KEY UPDATE` with fixed values. `SET x = x + 1` is not, nor is a plain `INSERT`
    /// (the second run would at best fail with a duplicate key).
    ///
    /// ```
    /// use mysql_retry::Annotate;
    ///
    /// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// let names: Vec<String> = exec.query("SELECT name FROM user".idempotent()).await?;
    /// # Ok(()) }
    /// ```
    fn idempotent(self) -> Statement<Self> {
        Statement { sql: self, delivery: Delivery::AtLeastOnce }
    }

    /// Guards the statement with a token: it is executed once, whatever is lost, in a transaction of its own that writes the
    /// token into the guard's table ([`Executor::create_guard_table`](crate::Executor::create_guard_table)).
    ///
    /// For `query_drop` and `exec_drop`, on an executor or a session;
    /// [`Summary::was_done_before`](crate::Summary::was_done_before) says whether it had been done before. Where it cannot
    /// work it does not compile: the rows of another method could not be had a second time, and within a transaction the
    /// transaction is what has to be [guarded](crate::Transaction::exactly_once). See [Guard](crate::docs::guard).
    ///
    /// ```
    /// use mysql_retry::Annotate;
    ///
    /// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// exec.exec_drop("INSERT INTO mail (address) VALUES (?)".exactly_once("mail 4711"), ("a@b.example",)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// ```compile_fail,E0277
    /// use mysql_retry::Annotate;
    ///
    /// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// let rows: Vec<u32> = exec.query("DELETE FROM t RETURNING id".exactly_once("mail 4711")).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// ```compile_fail,E0277
    /// use mysql_retry::{Annotate, TxOpts};
    ///
    /// # async fn f(exec: mysql_retry::Executor) -> mysql_retry::Result<()> {
    /// exec.transaction(TxOpts::default(), |mut tx| async move { tx.query_drop("DO 0".exactly_once("mail 4711")).await }).await?;
    /// # Ok(()) }
    /// ```
    fn exactly_once(self, token: impl Into<Token>) -> Guarded<Self> {
        Guarded { sql: self, token: token.into() }
    }
}

/// A statement with the token of its work, made by [`Annotate::exactly_once`] and [`Statement::exactly_once`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Guarded<Q> {
    sql: Q,
    token: Token,
}

impl<Q: AsQuery> Annotate for Q {}

/// A plain text (delivered at most once), an annotated [`Statement`], or a [`Guarded`] one: what `query_drop` and `exec_drop`
/// of an [`Executor`](crate::Executor) and a [`Session`](crate::Session) take.
pub trait AsStatement: Send + Sync + private::Sealed {
    /// The text, as it is sent.
    fn text(&self) -> Cow<'_, [u8]>;

    /// What the statement tolerates.
    fn delivery(&self) -> Delivery;

    /// The token of a guarded statement.
    fn token(&self) -> Option<&Token> {
        None
    }
}

/// A statement without a token: what the other methods take, and all of those of a [`Tx`](crate::Tx).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no statement that can run here",
    label = "neither a text nor a `Statement`",
    note = "a guarded statement runs with `query_drop` or `exec_drop` of an executor or a session: its rows could not be had a \
            second time; to return something, or for several statements, use `exec.transaction(..).exactly_once(token)`"
)]
pub trait Unguarded: AsStatement {}

impl<Q: AsQuery> Unguarded for Statement<Q> {}
impl<Q: AsQuery> Unguarded for &Statement<Q> {}

impl<Q: AsQuery> AsStatement for Guarded<Q> {
    fn text(&self) -> Cow<'_, [u8]> {
        self.sql.as_query()
    }

    fn delivery(&self) -> Delivery {
        Delivery::ExactlyOnce
    }

    fn token(&self) -> Option<&Token> {
        Some(&self.token)
    }
}

impl<Q: AsQuery> AsStatement for Statement<Q> {
    fn text(&self) -> Cow<'_, [u8]> {
        self.sql.as_query()
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }
}

impl<Q: AsQuery> AsStatement for &Statement<Q> {
    fn text(&self) -> Cow<'_, [u8]> {
        self.sql.as_query()
    }

    fn delivery(&self) -> Delivery {
        self.delivery
    }
}

mod private {
    use mysql_async::prelude::AsQuery;

    pub trait Sealed {}
    impl<Q: AsQuery> Sealed for super::Statement<Q> {}
    impl<Q: AsQuery> Sealed for super::Guarded<Q> {}
    impl<Q: AsQuery> Sealed for &super::Statement<Q> {}
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOTATED: Statement = Statement::new("SELECT 1").idempotent();

    #[test]
    fn a_plain_text_is_delivered_at_most_once() {
        assert_eq!(AsStatement::delivery(&"SELECT 1"), Delivery::AtMostOnce);
        assert_eq!(AsStatement::delivery(&String::from("SELECT 1")), Delivery::AtMostOnce);
        assert_eq!(Statement::new("SELECT 1").delivery(), Delivery::AtMostOnce);
    }

    #[test]
    fn an_annotation_travels_with_the_text_of_every_type_that_is_a_query() {
        fn check<S: AsStatement>(statement: S) {
            assert_eq!(statement.delivery(), Delivery::AtLeastOnce);
            assert_eq!(&*statement.text(), b"SELECT 1");
        }
        check(ANNOTATED);
        let owned = String::from("SELECT 1").idempotent();
        check(&owned);
        check(owned);
        check("SELECT 1".idempotent());
        check(b"SELECT 1".to_vec().idempotent());
        check(Cow::Borrowed("SELECT 1").idempotent());
        check(std::sync::Arc::<str>::from("SELECT 1").idempotent());
    }
}
