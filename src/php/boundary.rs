//! Where Rust and PHP meet.
//!
//! Two things must never cross: a panic, which would unwind into C, and a
//! bailout, which would jump over Rust frames and skip their destructors. So
//! code under [`guard`] never calls PHP; and code that calls PHP owns nothing
//! that needs a destructor and borrows nothing. What has to outlive the step
//! from one to the other is parked: in the handler, or in [`MAILBOX`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{CString, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use ext_php_rs::ffi::{E_NOTICE, E_WARNING, php_error_docref, zend_string};

use crate::error::Error;
use crate::handler::Handler;
use crate::process::Process;

/// What PHP is to be told, once no Rust frame is at stake any more.
#[derive(Default)]
struct Mailbox {
    waiting: VecDeque<(c_int, CString)>,
    /// The text PHP is reading now.
    open: CString,
}

thread_local! {
    static MAILBOX: RefCell<Mailbox> = RefCell::default();
}

/// Runs `f` and turns a panic into an ordinary error. `f` must not call PHP.
pub fn guard<T>(f: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
        Err(Error::Panic(text.unwrap_or_else(|| "unknown panic".to_owned())))
    })
}

/// Runs `f`, and leaves its error as a warning for [`report`].
pub fn attempt<T>(f: impl FnOnce() -> Result<T, Error>) -> Option<T> {
    match guard(f) {
        Ok(value) => Some(value),
        Err(error) => {
            Process::current().counters.note(&error);
            warn(&error.to_string());
            None
        }
    }
}

/// Leaves a warning for [`report`].
pub fn warn(text: &str) {
    post(E_WARNING, text);
}

/// Leaves a notice for [`report`].
pub fn notice(text: &str) {
    post(E_NOTICE, text);
}

fn post(level: u32, text: &str) {
    let text = CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    let level = c_int::try_from(level).unwrap_or_default();
    MAILBOX.with_borrow_mut(|mailbox| mailbox.waiting.push_back((level, text)));
}

/// Hands to PHP what has been left for it.
///
/// # Safety
/// Runs PHP code (error handlers), which may bail out or end the session: the
/// caller owns nothing that needs a destructor and uses no handler afterwards.
pub unsafe fn report() {
    while let Some((level, text)) = next_message() {
        // SAFETY: `text` stays valid until the next call of `next_message` on
        // this thread; PHP has copied it into its own message before it runs
        // any code that could lead there. The format takes one string.
        unsafe { php_error_docref(ptr::null(), level, c"%s".as_ptr(), text) };
    }
}

fn next_message() -> Option<(c_int, *const c_char)> {
    MAILBOX.with_borrow_mut(|mailbox| {
        let (level, text) = mailbox.waiting.pop_front()?;
        mailbox.open = text;
        Some((level, mailbox.open.as_ptr()))
    })
}

/// A text that stays where it is until the next one is parked or reported.
pub fn park(text: &str) -> *const c_char {
    let text = CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    MAILBOX.with_borrow_mut(|mailbox| {
        mailbox.open = text;
        mailbox.open.as_ptr()
    })
}

/// The bytes of a string of PHP's.
///
/// # Safety
/// `string` is live and not written to during `'a`.
pub unsafe fn bytes<'a>(string: *const zend_string) -> &'a [u8] {
    // SAFETY: the caller promises `string` is live; PHP keeps `len`
    // initialised bytes in `val`, and nobody writes them during `'a`.
    unsafe { std::slice::from_raw_parts((&raw const (*string).val).cast(), (*string).len) }
}

/// The handler that [`set_handler`] left in PHP's keeping.
///
/// # Safety
/// `mod_data` is the live pointer PHP gave to a callback, and no other
/// reference to the handler exists during `'a`.
pub unsafe fn handler<'a>(mod_data: *mut *mut c_void) -> Option<&'a mut Handler> {
    // SAFETY: only `set_handler` writes here, a box of this type or null.
    unsafe { (*mod_data).cast::<Handler>().as_mut() }
}

/// Leaves `handler` in PHP's keeping, or drops the one that is there.
///
/// # Safety
/// As for [`handler`].
pub unsafe fn set_handler(mod_data: *mut *mut c_void, handler: Option<Handler>) {
    let fresh = handler.map_or(ptr::null_mut(), |handler| Box::into_raw(Box::new(handler)));
    // SAFETY: see above; what was there came from `Box::into_raw`.
    unsafe {
        let before = std::mem::replace(&mut *mod_data, fresh.cast());
        if !before.is_null() {
            drop(Box::from_raw(before.cast::<Handler>()));
        }
    }
}
