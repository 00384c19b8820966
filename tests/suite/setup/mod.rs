mod addresses;
mod autocommit;
