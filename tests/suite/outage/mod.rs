mod down;
mod full;
mod read_only;
mod shared;
mod storm;
