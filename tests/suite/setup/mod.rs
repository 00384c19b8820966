mod addresses;
mod autocommit;
mod options;
mod statements;
