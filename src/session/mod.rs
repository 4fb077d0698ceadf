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
//! | [`stored_form`] | in which form a session is stored, told by its bytes |
//! | [`codec`] | compressing and decompressing |
//! | [`envelope`] | encrypting and decrypting |
//! | `conversion` | all of these, as the settings say |

mod access;
pub mod codec;
mod conversion;
mod entry;
pub mod envelope;
pub mod handler;
pub mod store;
pub mod stored_form;
mod write;
