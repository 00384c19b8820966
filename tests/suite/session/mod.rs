mod answers;
mod insert_ids;
mod state;
mod text;
mod transactions;
