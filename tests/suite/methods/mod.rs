mod as_the_driver;
mod generic;
mod results;
