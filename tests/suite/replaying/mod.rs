mod batches;
mod policies;
mod prepared;
mod statements;
mod streams;
