//! The statement methods, for what runs its statements through an executor of its own.

/// Methods with the executor's names, on `&mut self`: one statement at a time, as on a connection of the driver.
macro_rules! statement_methods {
    ($owner:ty) => {
        /// Statements, as the [`Executor`](crate::Executor) has them; on `&mut self`, because they share one connection.
        impl $owner {
            /// As [`Executor::query`](crate::Executor::query).
            pub async fn query<T, Q>(&mut self, query: Q) -> $crate::Result<Vec<T>>
            where
                Q: $crate::AsStatement,
                T: mysql_async::prelude::FromRow + Send + 'static,
            {
                self.statements(&query).await?.query(query).await
            }

            /// As [`Executor::query_first`](crate::Executor::query_first).
            pub async fn query_first<T, Q>(&mut self, query: Q) -> $crate::Result<Option<T>>
            where
                Q: $crate::AsStatement,
                T: mysql_async::prelude::FromRow + Send + 'static,
            {
                self.statements(&query).await?.query_first(query).await
            }

            /// As [`Executor::query_map`](crate::Executor::query_map).
            pub async fn query_map<T, F, Q, U>(&mut self, query: Q, f: F) -> $crate::Result<Vec<U>>
            where
                Q: $crate::AsStatement,
                T: mysql_async::prelude::FromRow + Send + 'static,
                F: FnMut(T) -> U + Send,
                U: Send,
            {
                self.statements(&query).await?.query_map(query, f).await
            }

            /// As [`Executor::query_fold`](crate::Executor::query_fold).
            pub async fn query_fold<T, F, Q, U>(&mut self, query: Q, init: U, f: F) -> $crate::Result<U>
            where
                Q: $crate::AsStatement,
                T: mysql_async::prelude::FromRow + Send + 'static,
                F: FnMut(U, T) -> U + Send,
                U: Send,
            {
                self.statements(&query).await?.query_fold(query, init, f).await
            }

            /// As [`Executor::query_drop`](crate::Executor::query_drop).
            pub async fn query_drop<Q>(&mut self, query: Q) -> $crate::Result<$crate::Summary>
            where
                Q: $crate::AsStatement,
            {
                self.statements(&query).await?.query_drop(query).await
            }

            /// As [`Executor::query_stream`](crate::Executor::query_stream).
            pub async fn query_stream<T, Q>(&mut self, query: Q) -> $crate::Result<$crate::SessionStream<'_, T>>
            where
                T: Unpin + mysql_async::prelude::FromRow + Send + 'static,
                Q: $crate::AsStatement,
            {
                let rows = self.statements(&query).await?.query_stream(query).await?;
                Ok($crate::SessionStream::new(rows))
            }

            /// As [`Executor::exec`](crate::Executor::exec).
            pub async fn exec<T, S, P>(&mut self, stmt: S, params: P) -> $crate::Result<Vec<T>>
            where
                S: $crate::AsStatement,
                P: Into<mysql_async::Params> + Send,
                T: mysql_async::prelude::FromRow + Send + 'static,
            {
                self.statements(&stmt).await?.exec(stmt, params).await
            }

            /// As [`Executor::exec_first`](crate::Executor::exec_first).
            pub async fn exec_first<T, S, P>(&mut self, stmt: S, params: P) -> $crate::Result<Option<T>>
            where
                S: $crate::AsStatement,
                P: Into<mysql_async::Params> + Send,
                T: mysql_async::prelude::FromRow + Send + 'static,
            {
                self.statements(&stmt).await?.exec_first(stmt, params).await
            }

            /// As [`Executor::exec_map`](crate::Executor::exec_map).
            pub async fn exec_map<T, S, P, U, F>(&mut self, stmt: S, params: P, f: F) -> $crate::Result<Vec<U>>
            where
                S: $crate::AsStatement,
                P: Into<mysql_async::Params> + Send,
                T: mysql_async::prelude::FromRow + Send + 'static,
                F: FnMut(T) -> U + Send,
                U: Send,
            {
                self.statements(&stmt).await?.exec_map(stmt, params, f).await
            }

            /// As [`Executor::exec_fold`](crate::Executor::exec_fold).
            pub async fn exec_fold<T, S, P, U, F>(&mut self, stmt: S, params: P, init: U, f: F) -> $crate::Result<U>
            where
                S: $crate::AsStatement,
                P: Into<mysql_async::Params> + Send,
                T: mysql_async::prelude::FromRow + Send + 'static,
                F: FnMut(U, T) -> U + Send,
                U: Send,
            {
                self.statements(&stmt).await?.exec_fold(stmt, params, init, f).await
            }

            /// As [`Executor::exec_drop`](crate::Executor::exec_drop).
            pub async fn exec_drop<S, P>(&mut self, stmt: S, params: P) -> $crate::Result<$crate::Summary>
            where
                S: $crate::AsStatement,
                P: Into<mysql_async::Params> + Send,
            {
                self.statements(&stmt).await?.exec_drop(stmt, params).await
            }

            /// As [`Executor::exec_batch`](crate::Executor::exec_batch).
            pub async fn exec_batch<S, P, I>(&mut self, stmt: S, params: I) -> $crate::Result<()>
            where
                S: $crate::AsStatement,
                I: IntoIterator<Item = P> + Send,
                I::IntoIter: Send,
                P: Into<mysql_async::Params> + Send,
            {
                self.statements(&stmt).await?.exec_batch(stmt, params).await
            }

            /// As [`Executor::exec_stream`](crate::Executor::exec_stream).
            pub async fn exec_stream<T, Q, P>(
                &mut self,
                stmt: Q,
                params: P,
            ) -> $crate::Result<$crate::SessionStream<'_, T>>
            where
                T: Unpin + mysql_async::prelude::FromRow + Send + 'static,
                Q: $crate::AsStatement,
                P: Into<mysql_async::Params> + Send,
            {
                let rows = self.statements(&stmt).await?.exec_stream(stmt, params).await?;
                Ok($crate::SessionStream::new(rows))
            }
        }
    };
}

pub(crate) use statement_methods;
