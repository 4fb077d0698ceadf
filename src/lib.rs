//! A PHP session save handler for Redis and Valkey.

pub mod save_path;
