//! The handlers that are open, thread by thread.
//!
//! PHP does not promise to close what it has opened: while an exception is
//! pending it calls no handler of the user's, and a handler of the user's need
//! not call ours. So each handler is kept here, until PHP closes it or the
//! request ends. PHP gets a number in place of a pointer: one that is out of
//! date leads to nothing, not to freed memory. A handler that opens again gets
//! another number, so that a callback that has waited meanwhile knows it is not its own.

use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::session::handler::Handler;

struct Open {
    number: usize,
    /// From `Box::into_raw`; no one else has it.
    handler: *mut Handler,
}

thread_local! {
    static OPEN: RefCell<Vec<Open>> = const { RefCell::new(Vec::new()) };
}

/// The last number that was given away. Zero is PHP's for none.
static LAST: AtomicUsize = AtomicUsize::new(0);
/// How many are open in this process.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// How many are open in this process.
pub fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// What PHP has for the handler of its session: a number of ours, if it is
/// from us, and zero if there is none.
///
/// # Safety
/// `mod_data` is the live pointer PHP gave to a callback.
pub unsafe fn number(mod_data: *mut *mut c_void) -> usize {
    // SAFETY: the caller's promise.
    unsafe { *mod_data }.addr()
}

/// The handler that [`set_handler`] left in PHP's keeping, if it is still open.
///
/// # Safety
/// `mod_data` is the live pointer PHP gave to a callback, and no other
/// reference to the handler exists during `'a`, nor is it closed meanwhile.
pub unsafe fn handler<'a>(mod_data: *mut *mut c_void) -> Option<&'a mut Handler> {
    // SAFETY: passed on.
    let number = unsafe { number(mod_data) };
    let found = OPEN.with_borrow(|open| {
        open.iter().find(|open| open.number == number).map(|open| open.handler)
    });
    // SAFETY: what is in the list is live and this thread's own; the caller
    // promises that there is no other reference.
    found.map(|handler| unsafe { &mut *handler })
}

/// Leaves `handler` in PHP's keeping, or drops the one that is there.
///
/// # Safety
/// As for [`handler`].
pub unsafe fn set_handler(mod_data: *mut *mut c_void, handler: Option<Handler>) {
    // SAFETY: passed on.
    let before = unsafe { number(mod_data) };
    let before = OPEN.with_borrow_mut(|open| {
        let at = open.iter().position(|open| open.number == before)?;
        Some(open.swap_remove(at))
    });
    let after = handler.map_or(0, |handler| {
        let (number, handler) = (next_number(), Box::into_raw(Box::new(handler)));
        OPEN.with_borrow_mut(|open| open.push(Open { number, handler }));
        COUNT.fetch_add(1, Ordering::Relaxed);
        number
    });
    // SAFETY: the caller's promise.
    unsafe { *mod_data = ptr::without_provenance_mut(after) };
    if let Some(before) = before {
        // SAFETY: it is out of the list, so no one finds it any more.
        unsafe { free(before) };
    }
}

/// The handler of `mod_data` has been opened again: who waited with it does
/// not go on.
///
/// # Safety
/// As for [`handler`].
pub unsafe fn renew_number(mod_data: *mut *mut c_void) {
    // SAFETY: passed on.
    let before = unsafe { number(mod_data) };
    OPEN.with_borrow_mut(|open| {
        if let Some(open) = open.iter_mut().find(|open| open.number == before) {
            open.number = next_number();
            // SAFETY: the caller's promise.
            unsafe { *mod_data = ptr::without_provenance_mut(open.number) };
        }
    });
}

/// Hands each handler of this thread to `end`, and drops it. `end` neither
/// panics nor calls PHP.
pub fn end_all(end: impl Fn(&mut Handler)) {
    // One after another: if dropping one goes wrong, the others are not lost.
    // The thread's list is gone only when the thread is.
    while let Some(open) = OPEN.try_with(|open| open.borrow_mut().pop()).ok().flatten() {
        // SAFETY: it is out of the list and this thread's own, and no callback
        // is running: its reference is the only one.
        unsafe {
            end(&mut *open.handler);
            free(open);
        }
    }
}

/// # Safety
/// `open` is out of the list, and no reference to its handler exists.
unsafe fn free(open: Open) {
    COUNT.fetch_sub(1, Ordering::Relaxed);
    // SAFETY: it came from `Box::into_raw`; the caller promises the rest.
    drop(unsafe { Box::from_raw(open.handler) });
}

fn next_number() -> usize {
    LAST.fetch_add(1, Ordering::Relaxed) + 1
}
