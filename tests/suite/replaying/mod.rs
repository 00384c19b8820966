mod batches;
mod classification;
mod local_infile;
mod policies;
mod prepared;
mod rolled_back;
mod statements;
mod streams;
