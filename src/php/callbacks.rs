//! The nine functions that PHP's session module calls.
//!
//! Each runs one method of [`Handler`] under a guard, and then, owning
//! nothing, tells PHP what came of it.

use std::ffi::{CStr, c_void};
use std::ptr;

use ext_php_rs::ffi::{
    ext_php_rs_zend_string_init, ext_php_rs_zend_string_release, zend_long, zend_string,
};

use super::boundary::{attempt, bytes, hold, notice, release_string, report, warn};
use super::ffi::{php_session_create_id, ps_module, zend_result};
use super::open::{handler, number, renew_number, set_handler};
use super::{headers, ini, request};
use crate::config::settings::Ttl;
use crate::error::Error;
use crate::key::{InvalidSid, Sid};
use crate::registry::locks_of;
use crate::session::handler::{Handler, HandlerKind, WriteCause};
use std::task::Poll;

type ModData = *mut *mut c_void;

const SUCCESS: zend_result = 0;
const FAILURE: zend_result = -1;
/// How many new ids are tried before giving up.
const NEW_ID_TRIES: usize = 3;

/// The callbacks under a name that PHP's `session.save_handler` can choose.
pub const fn save_handler(name: &'static CStr, serves: HandlerKind) -> ps_module {
    ps_module {
        s_name: name.as_ptr(),
        s_open: Some(match serves {
            HandlerKind::Anything => open_anything,
            HandlerKind::Clusters => open_cluster,
        }),
        s_close: Some(close),
        s_read: Some(read),
        s_write: Some(write),
        s_destroy: Some(destroy),
        s_gc: Some(gc),
        s_create_sid: Some(create_sid),
        s_validate_sid: Some(validate_sid),
        s_update_timestamp: Some(update_timestamp),
    }
}

/// Runs `f` on the open session's handler and leaves any error for `report`.
///
/// # Safety
/// `mod_data` is what PHP gave to the callback.
unsafe fn with<T>(
    mod_data: ModData,
    f: impl FnOnce(&mut Handler) -> Result<T, Error>,
) -> Option<T> {
    // SAFETY: the caller's promise; PHP calls one callback at a time for one
    // session, and `f`, which runs under a guard, calls no PHP.
    match unsafe { handler(mod_data) } {
        Some(handler) => attempt(|| {
            let outcome = f(handler);
            handler.warnings.drain(..).for_each(|text| warn(&text));
            outcome
        }),
        None => {
            warn("Redis connection not available: the session is not open");
            None
        }
    }
}

/// How a callback that may have to wait has ended.
enum Ended<T> {
    Done(T),
    /// It has failed; the reason is left for [`report`].
    Failed,
    /// PHP code that ran meanwhile has closed the handler or opened it again.
    /// What is there now is another request's of the session.
    Replaced,
}

/// Takes one step after another until there is a result, and serves PHP's signals
/// between them. Blocks for as long as a request may wait for a lock. PHP's
/// handlers of signals may do anything with the session, so `strings`, which
/// `step` uses, are held from the first wait on, and the handler has to be the
/// same one after each.
///
/// # Safety
/// As for [`with`]; also runs PHP code, see [`report`]. `strings` are live.
unsafe fn wait_serving_signals<T>(
    mod_data: ModData,
    strings: &[*mut zend_string],
    mut step: impl FnMut(&mut Handler) -> Result<Poll<T>, Error>,
    interrupt: impl FnOnce(&mut Handler) -> Result<T, Error>,
) -> Ended<T> {
    let mut waits = false;
    // SAFETY: `step` borrows what PHP keeps alive or is held here, and owns
    // nothing; the handler is looked up anew after PHP code has run. Nothing is
    // owned while it runs: if it bails out, PHP frees its strings itself.
    let ended = unsafe {
        let ours = number(mod_data);
        loop {
            match with(mod_data, &mut step) {
                Some(Poll::Ready(value)) => break Ended::Done(value),
                Some(Poll::Pending) => {}
                None => break Ended::Failed,
            }
            if !waits {
                strings.iter().for_each(|string| hold(*string));
                waits = true;
            }
            let goes_on = request::serve_signals();
            if number(mod_data) != ours {
                attempt(|| -> Result<(), Error> { Err(Error::Interrupted) });
                break Ended::Replaced;
            }
            if !goes_on {
                break with(mod_data, interrupt).map_or(Ended::Failed, Ended::Done);
            }
        }
    };
    if waits {
        // SAFETY: they were held above.
        strings.iter().for_each(|string| unsafe { release_string(*string) });
    }
    ended
}

/// As [`report_and_return`], for what PHP calls before it has sent its headers: where
/// all is well, a warning that would be printed now, and so send them without
/// the session's cookie, is left for a later callback.
///
/// # Safety
/// As for [`report`].
unsafe fn return_before_headers(done: bool) -> zend_result {
    if done && headers::warnings_send_headers() {
        return SUCCESS;
    }
    // SAFETY: passed on.
    unsafe { report_and_return(done) }
}

/// Reports the messages that are waiting, which may run PHP code, and tells PHP how
/// the callback has ended.
///
/// # Safety
/// As for [`report`].
unsafe fn report_and_return(done: bool) -> zend_result {
    // SAFETY: passed on.
    unsafe { report() };
    if done { SUCCESS } else { FAILURE }
}

/// The id that PHP hands to a callback, checked once.
///
/// # Safety
/// As for [`bytes`].
unsafe fn parse_sid<'a>(sid: *const zend_string) -> Result<Sid<'a>, InvalidSid> {
    // SAFETY: passed on.
    Sid::new(unsafe { bytes(sid) })
}

/// The session's time to live; a notice is left for [`report`] where another one
/// is taken.
fn ttl(maxlifetime: zend_long) -> Ttl {
    let (ttl, replaced) = Ttl::from_maxlifetime(maxlifetime);
    if let Some(why) = replaced {
        notice(&why.to_string());
    }
    ttl
}

/// PHP 8.6 hands over its own strings.
#[cfg(open_takes_zend_string)]
type Text = *mut zend_string;
#[cfg(not(open_takes_zend_string))]
type Text = *const std::ffi::c_char;

unsafe extern "C" fn open_anything(mod_data: ModData, save_path: Text, _: Text) -> zend_result {
    // SAFETY: passed on.
    unsafe { open(HandlerKind::Anything, mod_data, save_path) }
}

unsafe extern "C" fn open_cluster(mod_data: ModData, save_path: Text, _: Text) -> zend_result {
    // SAFETY: passed on.
    unsafe { open(HandlerKind::Clusters, mod_data, save_path) }
}

/// # Safety
/// As for the callbacks.
unsafe fn open(serves: HandlerKind, mod_data: ModData, save_path: Text) -> zend_result {
    // SAFETY: PHP passes a string that lives during the call.
    #[cfg(open_takes_zend_string)]
    let save_path = unsafe { bytes(save_path) };
    // SAFETY: as above.
    #[cfg(not(open_takes_zend_string))]
    let save_path = unsafe { CStr::from_ptr(save_path) }.to_bytes();
    let mut settings = ini::settings();
    let opened = attempt(|| {
        let save_path = String::from_utf8_lossy(save_path);
        settings.encryption = ini::encryption()?;
        // SAFETY: `mod_data` is PHP's, and no other reference is around.
        match unsafe { handler(mod_data) } {
            Some(open) => {
                open.reopen(serves, &save_path, settings)?;
                // SAFETY: as above; the reference is not used any more.
                unsafe { renew_number(mod_data) };
            }
            None => {
                let fresh = Handler::open(serves, &save_path, settings, locks_of)?;
                // SAFETY: as above.
                unsafe { set_handler(mod_data, Some(fresh)) };
            }
        }
        Ok(())
    });
    // SAFETY: passed on; afterwards nothing is owned, no handler is used.
    unsafe { return_before_headers(opened.is_some() && with(mod_data, |_| Ok(())).is_some()) }
}

unsafe extern "C" fn close(mod_data: ModData) -> zend_result {
    // SAFETY: `mod_data` is PHP's; afterwards nothing is owned.
    unsafe {
        if handler(mod_data).is_some() {
            with(mod_data, Handler::close);
            attempt(|| {
                set_handler(mod_data, None);
                Ok(())
            });
        }
        report_and_return(true)
    }
}

unsafe extern "C" fn read(
    mod_data: ModData,
    sid: *mut zend_string,
    value: *mut *mut zend_string,
    maxlifetime: zend_long,
) -> zend_result {
    // The write says what is wrong with it.
    let (ttl, _) = Ttl::from_maxlifetime(maxlifetime);
    // SAFETY: `mod_data` and `sid` are PHP's and live, and held while PHP code
    // runs. The data stay parked in the handler while PHP allocates, which may
    // bail out.
    unsafe {
        let id = parse_sid(sid);
        let step = |handler: &mut Handler| handler.read(id?, ttl);
        let done = wait_serving_signals(mod_data, &[sid], step, Handler::interrupt_read);
        let done = matches!(done, Ended::Done(()));
        let parked = handler(mod_data).and_then(|handler| handler.parked());
        if done && let Some((start, size)) = parked.map(|data| (data.as_ptr(), data.len())) {
            *value = ext_php_rs_zend_string_init(start.cast(), size, false);
            with(mod_data, |handler| {
                handler.handed_over();
                Ok(())
            });
        }
        return_before_headers(done)
    }
}

unsafe extern "C" fn write(
    mod_data: ModData,
    sid: *mut zend_string,
    value: *mut zend_string,
    maxlifetime: zend_long,
) -> zend_result {
    let ttl = ttl(maxlifetime);
    let cause = match request::is_ending() {
        true => WriteCause::EndOfRequest,
        false => WriteCause::Page,
    };
    // SAFETY: all pointers are PHP's and live, and the strings held while PHP code
    // runs; afterwards nothing is owned.
    unsafe {
        let id = parse_sid(sid);
        let done = wait_serving_signals(
            mod_data,
            &[sid, value],
            |handler| handler.write(id?, bytes(value), ttl, cause),
            Handler::interrupt_write,
        );
        report_and_return(matches!(done, Ended::Done(())))
    }
}

unsafe extern "C" fn update_timestamp(
    mod_data: ModData,
    sid: *mut zend_string,
    value: *mut zend_string,
    maxlifetime: zend_long,
) -> zend_result {
    let ttl = ttl(maxlifetime);
    // SAFETY: as for `write`.
    unsafe {
        let id = parse_sid(sid);
        let done = wait_serving_signals(
            mod_data,
            &[sid, value],
            |handler| handler.update_timestamp(id?, bytes(value), ttl),
            Handler::interrupt_write,
        );
        report_and_return(matches!(done, Ended::Done(())))
    }
}

unsafe extern "C" fn destroy(mod_data: ModData, sid: *mut zend_string) -> zend_result {
    // SAFETY: as for `write`.
    unsafe {
        let done = with(mod_data, |handler| match parse_sid(sid) {
            Ok(sid) => handler.destroy(sid),
            Err(_) => Ok(()), // there is no such session
        });
        report_and_return(done.is_some())
    }
}

/// Redis removes expired sessions itself.
unsafe extern "C" fn gc(
    _mod_data: ModData,
    _maxlifetime: zend_long,
    removed: *mut zend_long,
) -> zend_long {
    // SAFETY: PHP passes a place for the number.
    unsafe { *removed = 0 };
    0
}

unsafe extern "C" fn validate_sid(mod_data: ModData, sid: *mut zend_string) -> zend_result {
    // SAFETY: as for `write`.
    unsafe {
        let id = parse_sid(sid);
        let step = |handler: &mut Handler| match id {
            Ok(id) => handler.validate(id),
            Err(_) => Ok(Poll::Ready(false)),
        };
        let ended = wait_serving_signals(mod_data, &[sid], step, Handler::interrupt_validation);
        let known = match ended {
            Ended::Done(known) => known,
            Ended::Failed => false,
            // No reason for a new id: the read fails, or finds another session.
            Ended::Replaced => true,
        };
        return_before_headers(true); // an id that is not known is no failure
        if known { SUCCESS } else { FAILURE }
    }
}

unsafe extern "C" fn create_sid(mod_data: ModData) -> *mut zend_string {
    // SAFETY: `mod_data` is PHP's. PHP's generator may bail out: nothing is
    // owned when it is called. Ids that are not returned are released.
    unsafe {
        for _ in 0..NEW_ID_TRIES {
            let sid = php_session_create_id(mod_data);
            if sid.is_null() || handler(mod_data).is_none() {
                return sid; // asked by a handler that has not opened us
            }
            let claimed = with(mod_data, |handler| Ok(handler.claim_unused(parse_sid(sid)?)));
            if claimed != Some(false) {
                return_before_headers(true); // a failure fails the read
                return sid;
            }
            ext_php_rs_zend_string_release(sid);
        }
        let sid = php_session_create_id(ptr::null_mut());
        if !sid.is_null() {
            with(mod_data, |handler| {
                handler.fail_read(parse_sid(sid)?, Error::Collision);
                Ok(())
            });
        }
        report();
        sid
    }
}
