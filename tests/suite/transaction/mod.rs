mod closure;
mod commit;
mod commit_answers;
mod ended_by_server;
pub mod ended_by_statements;
mod known_well;
mod on_session;
mod refused;
mod reruns;
