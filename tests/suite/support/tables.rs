//! Tables of a test's own.

use std::fmt::Write as _;

use mysql_async::{Conn, prelude::Queryable as _};
use mysql_retry_fixture::Server;
use tokio::sync::Mutex;

use super::unique;

/// A table `(id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL)` whose rows count what the server executed.
pub struct Ledger<'s> {
    server: &'s Server,
    pub table: String,
}

impl<'s> Ledger<'s> {
    /// An empty table in the database `test`.
    pub async fn new(server: &'s Server) -> Self {
        let ledger = Ledger { server, table: unique("ledger") };
        ledger.create_on(server).await;
        ledger
    }

    /// Makes an empty table of the same name on a server.
    pub async fn create_on(&self, server: &Server) {
        let columns = "id INT AUTO_INCREMENT PRIMARY KEY, n INT NOT NULL";
        server.query_drop(format!("CREATE TABLE {} ({columns})", self.table)).await;
    }

    /// A statement that adds one row each time that it runs.
    pub fn insert(&self) -> String {
        format!("INSERT INTO {} (n) VALUES (1)", self.table)
    }

    /// The same with a parameter for n.
    pub fn insert_param(&self) -> String {
        format!("INSERT INTO {} (n) VALUES (?)", self.table)
    }

    /// Adds rows with n = 1, 2, 3 ..
    pub async fn fill(&self, rows: usize) {
        let mut sql = format!("INSERT INTO {} (n) VALUES ", self.table);
        for n in 1..=rows {
            let comma = if n == 1 { "" } else { ", " };
            write!(sql, "{comma}({n})").expect("a string takes everything");
        }
        self.server.query_drop(sql).await;
    }

    /// The number of rows.
    pub async fn rows(&self) -> u64 {
        self.rows_on(self.server).await
    }

    /// The number of rows in the table of that name on a server.
    pub async fn rows_on(&self, server: &Server) -> u64 {
        server.query_first(format!("SELECT COUNT(*) FROM {}", self.table)).await.expect("a row")
    }

    /// The values of n in the order of the ids.
    pub async fn values(&self) -> Vec<i32> {
        let mut conn = self.server.connect().await;
        let values = conn.query(format!("SELECT n FROM {} ORDER BY id", self.table)).await;
        conn.disconnect().await.expect("a goodbye");
        values.expect("the values")
    }
}

/// Makes a table `(id INT PRIMARY KEY, v INT NOT NULL)` with the row (1, 0), and returns its name.
pub async fn register(server: &Server) -> String {
    let table = unique("register");
    create_register(server, &table, 0).await;
    table
}

/// Makes such a table with this name, whose row holds this value.
pub async fn create_register(server: &Server, table: &str, value: i32) {
    server.query_drop(format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT NOT NULL)")).await;
    server.query_drop(format!("INSERT INTO {table} VALUES (1, {value})")).await;
}

/// The value in the row of a [`register`].
pub async fn value(server: &Server, table: &str) -> i32 {
    server.query_first(format!("SELECT v FROM {table} WHERE id = 1")).await.expect("a row")
}

/// A [`register`] whose row another connection holds until it is released.
pub struct HeldRow {
    pub table: String,
    holder: Mutex<Option<Conn>>,
}

impl HeldRow {
    pub async fn new(server: &Server) -> Self {
        let table = register(server).await;
        let holder = server.lock_row(&table, 1).await;
        HeldRow { table, holder: Mutex::new(Some(holder)) }
    }

    /// A statement that waits for the row and changes it.
    pub fn update(&self) -> String {
        format!("UPDATE {} SET v = v + 1 WHERE id = 1", self.table)
    }

    /// A statement that waits for the row and reads it.
    pub fn read(&self) -> String {
        format!("SELECT v FROM {} WHERE id = 1 FOR UPDATE", self.table)
    }

    /// Releases the row; does nothing the second time.
    pub async fn release(&self) {
        if let Some(mut holder) = self.holder.lock().await.take() {
            holder.query_drop("COMMIT").await.expect("the row is free");
            holder.disconnect().await.expect("a goodbye");
        }
    }
}
