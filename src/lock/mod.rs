//! The lock that lets one request at a time use a session: its value, the
//! scripts that take and release it, waiting for it and renewing it.

pub mod acquire;
pub mod held;
pub mod locks;
pub mod released;
pub mod renewal;
pub mod scripts;
pub mod token;
