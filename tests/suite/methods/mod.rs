mod as_the_driver;
