mod locks;
mod restored;
mod session_state;
