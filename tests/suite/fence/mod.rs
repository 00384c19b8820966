mod questions;
mod routers;
mod seen_gone;
mod takeover;
mod unfenced;

/// A statement that sets the value of a register to 1; on the connection `held_up` it evaluates `hold` before it locks the row.
fn upsert(table: &str, held_up: u32, hold: &str) -> String {
    format!(
        "INSERT INTO {table} (id, v) SELECT 1, 1 FROM (SELECT IF(CONNECTION_ID() = {held_up}, {hold}, 0) AS h) AS held \
         ON DUPLICATE KEY UPDATE v = 1"
    )
}
