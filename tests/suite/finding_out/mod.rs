mod aging;
mod dead;
mod pings;
