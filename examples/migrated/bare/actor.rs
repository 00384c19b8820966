//! An actor that books visits one after another, on a connection that it holds and makes anew by itself.

use mysql_async::{Conn, Error, Pool, Result, prelude::*};
use tokio::sync::{mpsc, oneshot};

pub struct Visit {
    pub page: String,
    pub booked: oneshot::Sender<Result<u64>>,
}

pub struct Actor {
    pool: Pool,
    conn: Option<Conn>,
}

impl Actor {
    pub fn new(url: &str) -> Result<Self> {
        Ok(Actor { pool: Pool::from_url(url)?, conn: None })
    }

    /// Works until nobody can send anything any more.
    pub async fn run(mut self, mut visits: mpsc::Receiver<Visit>) {
        while let Some(Visit { page, booked }) = visits.recv().await {
            let mut result = self.book(&page).await;
            if let Err(error) = &result
                && is_lost(error)
            {
                // a new connection, and the same once more
                self.conn = None;
                result = self.book(&page).await;
            }
            let _ = booked.send(result);
        }
    }

    /// Books a visit, and returns how many the page has had.
    async fn book(&mut self, page: &str) -> Result<u64> {
        if self.conn.is_none() {
            self.conn = Some(self.pool.get_conn().await?);
        }
        let conn = self.conn.as_mut().expect("there is one now");
        conn.exec_drop("INSERT INTO visit (page) VALUES (?)", (page,)).await?;
        let id = conn.last_insert_id();
        let count: Option<u64> = conn.exec_first("SELECT COUNT(*) FROM visit WHERE page = ?", (page,)).await?;
        println!("{page}: {id:?}");
        Ok(count.unwrap_or_default())
    }
}

fn is_lost(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Driver(_) => true,
        Error::Server(error) => error.code == 1927,
        Error::Other(_) | Error::Url(_) => false,
    }
}

/// Sends a visit to the actor, and waits for what it says.
pub async fn book(visits: &mpsc::Sender<Visit>, page: &str) -> Result<u64> {
    let (booked, answer) = oneshot::channel();
    if visits.send(Visit { page: page.to_owned(), booked }).await.is_err() {
        return Err(Error::Other("the actor is gone".into()));
    }
    answer.await.unwrap_or_else(|gone| Err(Error::Other(gone.into())))
}
