//! A store that chooses goods in a temporary table, and changes them in transactions that are passed on.

use mysql_async::{Conn, Pool, Result, Transaction, TxOpts, prelude::*};

pub struct Store {
    pool: Pool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub goods: Vec<(u32, u32)>,
    pub sum: u32,
}

impl Store {
    pub fn new(url: &str) -> Result<Self> {
        Ok(Store { pool: Pool::from_url(url)? })
    }

    /// What there is less of than `limit`.
    pub async fn scarce(&self, limit: u32) -> Result<Report> {
        let mut conn = self.pool.get_conn().await?;
        choose(&mut conn, limit).await?;
        let goods = conn.query("SELECT id, stock FROM chosen ORDER BY id").await?;
        let sum: Option<u32> = conn.query_first("SELECT SUM(stock) FROM chosen").await?;
        conn.query_drop("DROP TEMPORARY TABLE chosen").await?;
        Ok(Report { goods, sum: sum.unwrap_or_default() })
    }

    /// Takes goods from one place to another one.
    pub async fn shift(&self, from: u32, to: u32, count: u32) -> Result<bool> {
        let mut conn = self.pool.get_conn().await?;
        let mut tx = conn.start_transaction(TxOpts::default()).await?;
        if !take(&mut tx, from, count).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        put(&mut tx, to, count).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn choose(conn: &mut Conn, limit: u32) -> Result<()> {
    conn.query_drop("DROP TEMPORARY TABLE IF EXISTS chosen").await?;
    conn.query_drop("CREATE TEMPORARY TABLE chosen (id INT PRIMARY KEY, stock INT NOT NULL)").await?;
    let fill = "INSERT INTO chosen SELECT id, stock FROM item WHERE stock < ?";
    conn.exec_drop(fill, (limit,)).await?;
    println!("{} chosen", conn.affected_rows());
    Ok(())
}

async fn take(tx: &mut Transaction<'_>, id: u32, count: u32) -> Result<bool> {
    let update = "UPDATE item SET stock = stock - ? WHERE id = ? AND stock >= ?";
    tx.exec_drop(update, (count, id, count)).await?;
    Ok(tx.affected_rows() == 1)
}

async fn put(tx: &mut Transaction<'_>, id: u32, count: u32) -> Result<()> {
    tx.exec_drop("UPDATE item SET stock = stock + ? WHERE id = ?", (count, id)).await?;
    Ok(())
}
