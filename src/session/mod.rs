//! One open session: what each callback asks for, operations without a lock,
//! and the stored form.

pub mod handler;
pub mod store;
pub mod stored_form;
