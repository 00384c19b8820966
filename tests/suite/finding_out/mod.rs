mod aging;
mod dead;
