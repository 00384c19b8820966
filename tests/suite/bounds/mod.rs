mod attempts;
mod budget;
mod hung;
mod lateness;
mod pool;
mod silence;
mod silent_servers;
mod watch;
