//! Where Rust and PHP meet.
//!
//! Two things must never cross: a panic, which would unwind into C, and a
//! bailout, which would jump over Rust frames and skip their destructors. So
//! code under [`guard`] never calls PHP; and code that calls PHP owns nothing
//! that needs a destructor and borrows nothing. What has to outlive the step
//! from one to the other is parked: in the handler, or in [`MAILBOX`].

use std::cell::RefCell;
use std::collections::VecDeque;
use std::ffi::{CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use ext_php_rs::ffi::{
    E_NOTICE, E_WARNING, GC_IMMUTABLE, ext_php_rs_zend_string_release, php_error_docref,
    zend_string,
};

use crate::error::Error;
use crate::registry::Registry;

/// What PHP is to be told, once no Rust frame is at stake any more.
#[derive(Default)]
struct Mailbox {
    waiting: VecDeque<(c_int, CString)>,
    /// The texts PHP is reading now. What it runs meanwhile may lead here
    /// again, so there may be several.
    parked: Vec<CString>,
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
            Registry::current().runtime().counters.note(&error);
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
    while let Some((level, parked)) = next_message() {
        // SAFETY: the text stays parked meanwhile. The format takes one string.
        unsafe { php_error_docref(ptr::null(), level, c"%s".as_ptr(), parked.text) };
        unpark(parked);
    }
}

fn next_message() -> Option<(c_int, Parked)> {
    MAILBOX.with_borrow_mut(|mailbox| {
        let (level, text) = mailbox.waiting.pop_front()?;
        Some((level, mailbox.park(text)))
    })
}

/// A text that stays where it is until it is given to [`unpark`], or until the
/// visit ends: what runs in between may jump over that.
#[derive(Clone, Copy)]
pub struct Parked {
    /// It ends with NUL.
    pub text: *const c_char,
    /// Its length in bytes, without the NUL.
    pub size: usize,
    /// How many were parked before it.
    level: usize,
}

impl Mailbox {
    fn park(&mut self, text: CString) -> Parked {
        let (size, level) = (text.count_bytes(), self.parked.len());
        // The bytes do not move with the value that owns them.
        let parked = Parked { text: text.as_ptr(), size, level };
        self.parked.push(text);
        parked
    }
}

/// Keeps `text` while PHP reads it.
pub fn park(text: &str) -> Parked {
    let text = CString::new(text.replace('\0', "\\0")).unwrap_or_default();
    MAILBOX.with_borrow_mut(|mailbox| mailbox.park(text))
}

/// PHP does not need the text any more, nor those that were parked after it.
pub fn unpark(parked: Parked) {
    MAILBOX.with_borrow_mut(|mailbox| mailbox.parked.truncate(parked.level));
}

/// The visit has ended: no one reads what is parked, and what PHP was not told
/// any more goes to the log.
pub fn forget() {
    // The thread's mailbox is gone only when the thread is.
    let _ = MAILBOX.try_with(|mailbox| {
        let mut mailbox = mailbox.borrow_mut();
        mailbox.parked.clear();
        for (_, text) in mailbox.waiting.drain(..) {
            tracing::warn!(outcome = %text.to_string_lossy(), "not shown, because the request has \
                                                               ended");
        }
    });
}

/// The bytes of a string of PHP's.
///
/// # Safety
/// `string` is live and not written to during `'a`.
pub unsafe fn bytes<'a>(string: *const zend_string) -> &'a [u8] {
    // SAFETY: the caller promises `string` is live; PHP keeps `len`
    // initialised bytes in `val`, and no one writes them during `'a`.
    unsafe { std::slice::from_raw_parts((&raw const (*string).val).cast(), (*string).len) }
}

/// Keeps a string of PHP's for longer than its owner may.
///
/// # Safety
/// `string` is live and this thread's own. Each call is followed by one of
/// [`release_string`], or by the end of the request, which frees all of its strings.
pub unsafe fn hold(string: *mut zend_string) {
    // SAFETY: the caller's promise. Interned ones live long enough, and are
    // not counted.
    unsafe {
        if (*string).gc.u.type_info & GC_IMMUTABLE == 0 {
            (*string).gc.refcount += 1;
        }
    }
}

/// # Safety
/// [`hold`] was called for `string`.
pub unsafe fn release_string(string: *mut zend_string) {
    // SAFETY: it is live, as it is held; frees it if no one else holds it.
    unsafe { ext_php_rs_zend_string_release(string) };
}
