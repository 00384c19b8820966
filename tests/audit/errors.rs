//! stub
use std::sync::Arc;
use mysql_retry_fixture::Server;
use crate::{cases::Selection, ledger::Ledger, stage::Stage, table::Findings};
pub struct Errors;
pub async fn play(_: &Arc<Server>, _: Selection, _: Vec<Stage>) -> Errors { Errors }
impl Errors { pub fn pronounce(&self, _: &str, _: &Ledger) -> Findings { Findings::default() } }
