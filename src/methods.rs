//! The statement methods, as the driver's `Queryable` has them, the same for executor, session and transaction; and what a connection
//! tells after a statement.

/// Implements the statement methods for a type. `[&self]` or `[&mut self]` is their receiver. The expression is a reference
/// to the handle that runs the statement, and may refuse it. `$droppable` are the statements that `query_drop` and `exec_drop`
/// take, and the functions behind it run them; `$told` makes of their summary what is returned, and `$tells` says where the caller
/// finds what the statement has changed.
macro_rules! statement_methods {
    (
        $owner:ty, [$($receiver:tt)*], |$self:ident, $statement:ident| $handle:expr,
        $droppable:path, $query_drop:path, $exec_drop:path,
        $dropped:ty, $told:path, $tells:literal,
        $stream:ty, $wrap:path
    ) => {
        /// Statements as text.
        impl $owner {
            /// Runs a statement and collects the rows of its first result set.
            ///
            /// # Errors
            /// As for every method here: the [`outcome`](crate::Error::outcome) tells what became of the statement. It is
            /// [`Failed`](crate::Outcome::Failed) for what the bare driver would have returned on a healthy connection.
            /// Unlike the driver's method it does not panic on a row that does not fit `T`.
            pub async fn query<T, Q>($($receiver)*, $statement: Q) -> $crate::Result<Vec<T>>
            where
                Q: $crate::Unguarded,
                T: mysql_async::prelude::FromRow + Send + 'static,
            {
                ($handle).query($statement).await
            }

            /// Runs a statement and returns the first row of its first result set.
            pub async fn query_first<T, Q>($($receiver)*, $statement: Q) -> $crate::Result<Option<T>>
            where
                Q: $crate::Unguarded,
                T: mysql_async::prelude::FromRow + Send + 'static,
            {
                ($handle).query_first($statement).await
            }

            /// Runs a statement and maps each row of its first result set.
            ///
            /// `f` is called when all rows have arrived, so that it never sees a row of an attempt that failed.
            pub async fn query_map<T, F, Q, U>($($receiver)*, $statement: Q, f: F) -> $crate::Result<Vec<U>>
            where
                Q: $crate::Unguarded,
                T: mysql_async::prelude::FromRow + Send + 'static,
                F: FnMut(T) -> U + Send,
                U: Send,
            {
                let rows = ($handle).query($statement).await?;
                Ok(rows.into_iter().map(f).collect())
            }

            /// Runs a statement and folds the rows of its first result set to a single value.
            ///
            /// `f` is called for each row as it arrives, and none is kept. After a loss in the middle nothing is sent again. If the
            /// statement may be run again then ([`idempotent`](crate::Annotate::idempotent)), `f` is called when all rows have
            /// arrived, and they are all in memory until then.
            pub async fn query_fold<T, F, Q, U>($($receiver)*, $statement: Q, init: U, f: F) -> $crate::Result<U>
            where
                Q: $crate::Unguarded,
                T: mysql_async::prelude::FromRow + Send + 'static,
                F: FnMut(U, T) -> U + Send,
                U: Send,
            {
                ($handle).query_fold($statement, init, f).await
            }

            /// Runs a statement and drops its rows.
            #[doc = $tells]
            pub async fn query_drop<Q>($($receiver)*, $statement: Q) -> $crate::Result<$dropped>
            where
                Q: $droppable,
            {
                $query_drop($handle, $statement).await.map($told)
            }

            /// Runs a statement and returns all that it returned, as the driver's method of that name: columns, rows, affected
            /// rows, and every result of a text of several statements.
            ///
            /// All of it is in memory. Where one of several statements fails, the call does.
            pub async fn query_iter<Q>($($receiver)*, $statement: Q) -> $crate::Result<$crate::QueryResult>
            where
                Q: $crate::Unguarded,
            {
                ($handle).query_iter($statement).await
            }

            /// Runs a statement and streams the rows of its first result set.
            ///
            /// Until the first row has arrived the statement is replayed like any other; after that a loss surfaces, with the
            /// number of rows that had been returned.
            pub async fn query_stream<T, Q>($($receiver)*, $statement: Q) -> $crate::Result<$stream>
            where
                T: Unpin + mysql_async::prelude::FromRow + Send + 'static,
                Q: $crate::Unguarded,
            {
                let rows = ($handle).query_stream($statement).await?;
                Ok($wrap(rows))
            }
        }

        /// Prepared statements.
        impl $owner {
            /// Has the server prepare a statement, so that a mistake in its text shows now, and returns what the `exec` methods
            /// take. They take the text as well, and prepare it themselves.
            pub async fn prep<S>($($receiver)*, $statement: S) -> $crate::Result<$crate::Prepared>
            where
                S: $crate::Unguarded,
            {
                ($handle).prep($statement).await
            }

            /// Prepares and executes a statement, and collects the rows of its first result set.
            ///
            /// It takes the text, or what [`prep`](Self::prep) returns, not a `mysql_async::Statement`: that belongs to one
            /// connection. The driver keeps what it prepared on each connection.
            pub async fn exec<T, S, P>($($receiver)*, $statement: S, params: P) -> $crate::Result<Vec<T>>
            where
                S: $crate::Unguarded,
                P: Into<mysql_async::Params> + Send,
                T: mysql_async::prelude::FromRow + Send + 'static,
            {
                ($handle).exec($statement, params.into()).await
            }

            /// Prepares and executes a statement, and returns the first row of its first result set.
            pub async fn exec_first<T, S, P>($($receiver)*, $statement: S, params: P) -> $crate::Result<Option<T>>
            where
                S: $crate::Unguarded,
                P: Into<mysql_async::Params> + Send,
                T: mysql_async::prelude::FromRow + Send + 'static,
            {
                ($handle).exec_first($statement, params.into()).await
            }

            /// Prepares and executes a statement, and maps each row of its first result set.
            ///
            /// `f` is called when all rows have arrived, so that it never sees a row of an attempt that failed.
            pub async fn exec_map<T, S, P, U, F>($($receiver)*, $statement: S, params: P, f: F) -> $crate::Result<Vec<U>>
            where
                S: $crate::Unguarded,
                P: Into<mysql_async::Params> + Send,
                T: mysql_async::prelude::FromRow + Send + 'static,
                F: FnMut(T) -> U + Send,
                U: Send,
            {
                let rows = ($handle).exec($statement, params.into()).await?;
                Ok(rows.into_iter().map(f).collect())
            }

            /// Prepares and executes a statement, and folds the rows of its first result set to a single value.
            ///
            /// `f` is called when each row arrives, or when all have: as for [`Self::query_fold`].
            pub async fn exec_fold<T, S, P, U, F>($($receiver)*, $statement: S, params: P, init: U, f: F) -> $crate::Result<U>
            where
                S: $crate::Unguarded,
                P: Into<mysql_async::Params> + Send,
                T: mysql_async::prelude::FromRow + Send + 'static,
                F: FnMut(U, T) -> U + Send,
                U: Send,
            {
                ($handle).exec_fold($statement, params.into(), init, f).await
            }

            /// Prepares and executes a statement, and drops its rows.
            #[doc = $tells]
            pub async fn exec_drop<S, P>($($receiver)*, $statement: S, params: P) -> $crate::Result<$dropped>
            where
                S: $droppable,
                P: Into<mysql_async::Params> + Send,
            {
                $exec_drop($handle, $statement, params.into()).await.map($told)
            }

            /// Prepares and executes a statement, and returns all that it returned, as the driver's method of that name.
            ///
            /// All of it is in memory.
            pub async fn exec_iter<S, P>($($receiver)*, $statement: S, params: P) -> $crate::Result<$crate::QueryResult>
            where
                S: $crate::Unguarded,
                P: Into<mysql_async::Params> + Send,
            {
                ($handle).exec_iter($statement, params.into()).await
            }

            /// Executes a statement once for each item of `params`.
            ///
            /// A batch is several commands (on MariaDB, as few as fit): it is replayed only as a whole, and only if it is
            /// annotated as idempotent. If it fails, a part of it may have been executed, also where the outcome is
            /// [`Failed`](crate::Outcome::Failed): the rows before the one that the server rejected stay. It is
            /// [`NotExecuted`](crate::Outcome::NotExecuted) only if it failed at its first row.
            ///
            /// An annotated batch is in memory as a whole. Otherwise the first thousand items are, and the others are taken
            /// one by one.
            pub async fn exec_batch<S, P, I>($($receiver)*, $statement: S, params: I) -> $crate::Result<()>
            where
                S: $crate::Unguarded,
                I: IntoIterator<Item = P> + Send,
                I::IntoIter: Send,
                P: Into<mysql_async::Params> + Send,
            {
                ($handle).exec_batch($statement, params.into_iter().map(Into::into)).await
            }

            /// Prepares and executes a statement, and streams the rows of its first result set.
            ///
            /// Until the first row has arrived the statement is replayed like any other; after that a loss surfaces, with the
            /// number of rows that had been returned.
            pub async fn exec_stream<T, S, P>($($receiver)*, $statement: S, params: P) -> $crate::Result<$stream>
            where
                T: Unpin + mysql_async::prelude::FromRow + Send + 'static,
                S: $crate::Unguarded,
                P: Into<mysql_async::Params> + Send,
            {
                let rows = ($handle).exec_stream($statement, params.into()).await?;
                Ok($wrap(rows))
            }
        }
    };
}

/// Implements, for what keeps one connection, what the driver's connection tells after a statement. The expression is the slot of the
/// connection.
macro_rules! answer_methods {
    ($owner:ty, |$self:ident| $slot:expr) => {
        /// What the last statement has told.
        impl $owner {
            /// The number of rows that the last statement has changed, deleted or inserted, as the driver's method of that name; 0
            /// if it failed.
            pub fn affected_rows(&$self) -> u64 {
                ($slot).summary().affected_rows()
            }

            /// The value that an `AUTO_INCREMENT` column got in the last statement, as the driver's method of that name.
            pub fn last_insert_id(&$self) -> Option<u64> {
                ($slot).summary().last_insert_id()
            }

            /// The number of warnings of the last statement.
            pub fn get_warnings(&$self) -> u16 {
                ($slot).summary().warnings()
            }

            /// The server's information about the last statement; often empty.
            pub fn info(&$self) -> String {
                ($slot).summary().info().to_owned()
            }

            /// The server's id of the connection; `None` after a loss.
            pub fn id(&$self) -> Option<u32> {
                ($slot).connection_id()
            }
        }
    };
}

pub(crate) use answer_methods;
pub(crate) use statement_methods;
