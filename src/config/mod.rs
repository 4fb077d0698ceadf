//! What the user configured: INI settings, and what a save path means.

pub mod save_path;
pub mod settings;
