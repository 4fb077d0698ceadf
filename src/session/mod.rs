//! One open session: what each callback asks for, operations without a lock,
//! and the stored form.
//!
//! | module | owns |
//! |---|---|
//! | [`handler`] | the callbacks' contract: opening, reading, closing |
//! | `write` | storing, keeping and removing |
//! | `access` | reaching the servers: with the lock, without it, releasing it |
//! | `entry` | what is known of each session, and which states it can be in |
//! | [`store`] | operations without a lock |
//! | [`stored_form`] | what others' handlers have stored |

mod access;
mod entry;
pub mod handler;
pub mod store;
pub mod stored_form;
mod write;
