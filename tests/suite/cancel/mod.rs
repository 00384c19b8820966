mod calls;
mod late_replies;
mod orphans;
mod panics;
mod polls;
