mod elsewhere;
mod once;
mod table;
