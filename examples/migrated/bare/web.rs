//! The handlers of a web service: a pool in the state, and helpers that are generic over the connection.

use mysql_async::{Pool, Result, TxOpts, prelude::*};

#[derive(Clone)]
pub struct State {
    pool: Pool,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub title: String,
    pub comments: Vec<String>,
}

impl State {
    pub fn new(url: &str) -> Result<Self> {
        Ok(State { pool: Pool::from_url(url)? })
    }
}

/// GET /page/{id}
pub async fn show(state: &State, id: u32) -> Result<Option<Page>> {
    let mut conn = state.pool.get_conn().await?;
    let Some(title) = title(&mut conn, id).await? else { return Ok(None) };
    let comments = comments(&mut conn, id).await?;
    Ok(Some(Page { title, comments }))
}

/// POST /page/{id}/comment
pub async fn comment(state: &State, id: u32, text: &str) -> Result<bool> {
    let mut conn = state.pool.get_conn().await?;
    let mut tx = conn.start_transaction(TxOpts::default()).await?;
    if title(&mut tx, id).await?.is_none() {
        tx.rollback().await?;
        return Ok(false);
    }
    add(&mut tx, id, text).await?;
    tx.commit().await?;
    Ok(true)
}

async fn title<C: Queryable>(conn: &mut C, id: u32) -> Result<Option<String>> {
    conn.exec_first("SELECT title FROM page WHERE id = ?", (id,)).await
}

async fn comments<C: Queryable>(conn: &mut C, page: u32) -> Result<Vec<String>> {
    conn.exec("SELECT text FROM comment WHERE page = ? ORDER BY id", (page,)).await
}

async fn add<C: Queryable>(conn: &mut C, page: u32, text: &str) -> Result<()> {
    let insert = conn.prep("INSERT INTO comment (page, text) VALUES (?, ?)").await?;
    conn.exec_drop(&insert, (page, text)).await?;
    conn.exec_drop("UPDATE page SET comments = comments + 1 WHERE id = ?", (page,)).await
}
