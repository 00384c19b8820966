mod commit_answers;
pub mod ended_by_server;
mod ended_by_statements;
mod known_well;
mod reruns;
