//! Keeps the passwords of `session.save_path` out of PHP's own messages.
//!
//! PHP's session module ends its messages with the save path as it is: `Failed
//! to read session data: redis (path: ...)`. They go to the page, to the error
//! log, and through error handlers to wherever a site keeps its errors. PHP
//! shows each message to observers first, and each exception to a hook when it
//! is thrown; there the save path is masked as in our own messages. It is
//! looked up when a message comes, so there is no copy of it that could be
//! out of date. `phpinfo()` lets a function of ours show a setting.

use std::cell::Cell;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use ext_php_rs::ffi::{
    GC_IMMUTABLE, php_output_write, sapi_module, zend_ini_entry, zend_object, zend_read_property,
    zend_string, zend_throw_exception_hook,
};
use ext_php_rs::types::Zval;

use super::boundary::{Parked, bytes, park, unpark};
use super::ffi::{
    zend_get_exception_base, zend_ini_register_displayer, zend_observer_error_register,
    zend_update_property_stringl,
};
use super::ini;
use crate::config::save_path::{masked, masked_in, masked_refusal, with_entities};

/// PHP asks for the value that the settings files gave.
const DISPLAY_ORIGINAL: c_int = 1;

type Hook = unsafe extern "C" fn(*mut zend_object);

/// Whether PHP's settings can be asked: between the start and the end of the module.
static RUNS: AtomicBool = AtomicBool::new(false);

/// Who had the hook before us. Written while the module starts, when there is
/// one thread, and only read from then on.
struct Before(Cell<Option<Hook>>);
// SAFETY: see above.
unsafe impl Sync for Before {}
static BEFORE: Before = Before(Cell::new(None));

/// Asks PHP for its messages and exceptions.
pub fn start() {
    // SAFETY: called while the module starts, when there is one thread. Our
    // code stays mapped, so neither function dangles after the module's end.
    unsafe {
        zend_observer_error_register(Some(on_message));
        // Fails where PHP has no such setting.
        let name = c"session.save_path";
        let size = u32::try_from(name.count_bytes()).unwrap_or_default();
        zend_ini_register_displayer(name.as_ptr(), size, Some(show_save_path));
        let before = zend_throw_exception_hook;
        if before.is_none_or(|before| !ptr::fn_addr_eq(before, on_exception as Hook)) {
            BEFORE.0.set(before);
            zend_throw_exception_hook = Some(on_exception);
        }
    }
    RUNS.store(true, Ordering::Release);
}

/// PHP's settings are about to go.
pub fn stop() {
    RUNS.store(false, Ordering::Release);
}

/// Masks a message in place, before anybody else reads it.
unsafe extern "C" fn on_message(_: c_int, _: *mut zend_string, _: u32, message: *mut zend_string) {
    // SAFETY: PHP passes a live string. One that is shared or constant is not
    // written to: it is a script's, as PHP makes its own for each message.
    unsafe {
        if message.is_null() || (*message).gc.refcount != 1 {
            return;
        }
        if (*message).gc.u.type_info & GC_IMMUTABLE != 0 {
            return;
        }
        let Some(text) = without_secrets(bytes(message)) else { return };
        // Never longer: the string has the room it has.
        let size = text.len().min((*message).len);
        let val = (&raw mut (*message).val).cast::<u8>();
        val.copy_from_nonoverlapping(text.as_ptr(), size);
        val.add(size).write(0);
        (*message).len = size;
        (*message).h = 0; // computed when it is needed
    }
}

/// Masks the message of an exception, and lets the hook that was there go on.
unsafe extern "C" fn on_exception(exception: *mut zend_object) {
    // SAFETY: PHP passes a live exception, or none when it throws one again.
    // Reading the property, which every exception has, runs no PHP code; the
    // text is parked before PHP allocates for it, as that may bail out.
    unsafe {
        if !exception.is_null() {
            let scope = zend_get_exception_base(exception.cast());
            let (name, mut room) = (c"message", Zval::new());
            let (start, size) = (name.as_ptr(), name.count_bytes());
            let value =
                zend_read_property(scope.cast(), exception, start, size, true, &raw mut room);
            let text = value.as_ref().and_then(Zval::zend_str).map(|text| text.as_bytes());
            if let Some(parked) = text.and_then(without_secrets).map(|text| park_bytes(&text)) {
                let (exception, Parked { text, size, .. }) = (exception.cast(), parked);
                let length = name.count_bytes();
                zend_update_property_stringl(scope, exception, start, length, text, size);
                unpark(parked);
            }
        }
        if let Some(before) = BEFORE.0.get() {
            before(exception);
        }
    }
}

fn park_bytes(text: &[u8]) -> Parked {
    park(&String::from_utf8_lossy(text))
}

/// What `phpinfo()` shows as the value of `session.save_path`.
unsafe extern "C" fn show_save_path(entry: *mut zend_ini_entry, which: c_int) {
    // SAFETY: PHP passes a live entry, whose values are live strings or null;
    // the original one is there only if another has replaced it. The text is
    // parked while PHP prints it.
    unsafe {
        let for_web = sapi_module.phpinfo_as_text == 0;
        let replaced = which == DISPLAY_ORIGINAL && !(*entry).orig_value.is_null();
        let value = if replaced { (*entry).orig_value } else { (*entry).value };
        let value = if value.is_null() { &[] } else { bytes(value) };
        let shown = park(&match (value, for_web) {
            (b"", true) => "<i>no value</i>".to_owned(),
            (b"", false) => "no value".to_owned(),
            (value, true) => with_entities(&shown(value)),
            (value, false) => shown(value),
        });
        php_output_write(shown.text, shown.size);
        unpark(shown);
    }
}

fn shown(save_path: &[u8]) -> String {
    let text = String::from_utf8_lossy(save_path);
    if ini::may_lead_to_us() { masked(&text) } else { text.into_owned() }
}

/// The text with a masked save path, if it shows one that has secrets.
fn without_secrets(text: &[u8]) -> Option<Vec<u8>> {
    if !RUNS.load(Ordering::Acquire) {
        return None;
    }
    // What is refused may be the save path of a handler that is not set yet.
    let refusal = catch_unwind(AssertUnwindSafe(|| masked_refusal(text))).unwrap_or_default();
    if refusal.is_some() || !ini::may_lead_to_us() {
        return refusal;
    }
    let save_path = ini::save_path()?.to_bytes();
    catch_unwind(AssertUnwindSafe(|| masked_in(text, save_path))).unwrap_or_default()
}
