mod state;
mod text;
mod transactions;
