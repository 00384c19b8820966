//! What the driver has prepared on a connection, and is certain to have still.
//!
//! The driver keeps what it prepared by its text. To find it there costs more than all that this crate does for a call: the text is
//! searched for names of parameters, and hashed. So what it returned is kept here too. It drops what was not asked for
//! for the longest time, and closes it at the server. That cannot be seen, but counted: a statement is certain to be there while
//! fewer texts were asked for since than the driver keeps.

use std::fmt;

use mysql_async::Statement;

/// Places, a power of two. What finds its place taken takes it, and the driver is asked for the other one again.
const PLACES: usize = 64;

#[derive(Default)]
pub(super) struct Statements {
    places: Vec<Option<Prepared>>,
    /// How many texts the driver was asked for.
    asked: u64,
}

struct Prepared {
    text: Box<[u8]>,
    statement: Statement,
    /// The statement is there while the driver was asked for fewer texts than this.
    until: u64,
}

impl Statements {
    pub(super) fn get(&self, text: &[u8]) -> Option<Statement> {
        let prepared = self.places.get(place(text))?.as_ref()?;
        (self.asked < prepared.until && *prepared.text == *text).then(|| prepared.statement.clone())
    }

    /// The driver is asked for a text.
    pub(super) fn touch(&mut self) {
        self.asked += 1;
    }

    /// The driver was asked for this text last, has prepared it, and keeps at most so many.
    pub(super) fn put(&mut self, text: &[u8], statement: &Statement, kept: usize) {
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let until = self.asked.saturating_add(kept as u64);
        self.places[place(text)] = Some(Prepared { text: text.into(), statement: statement.clone(), until });
    }
}

/// By the length of a text and its end, where those of one program differ most.
fn place(text: &[u8]) -> usize {
    let end = text.last_chunk().map_or(0, |end: &[u8; 8]| u64::from_le_bytes(*end));
    let mixed = (end ^ text.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 32) as usize % PLACES
}

impl fmt::Debug for Statements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statements").field("asked", &self.asked).finish_non_exhaustive()
    }
}
