mod answers;
mod block;
mod insert_ids;
mod state;
mod text;
mod transactions;
