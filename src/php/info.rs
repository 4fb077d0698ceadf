//! What phpinfo() and `php --ri redis_session` show.

use std::ffi::CStr;
use std::sync::atomic::Ordering;

use ext_php_rs::ffi::{
    php_info_print_table_end, php_info_print_table_row, php_info_print_table_start,
};
use ext_php_rs::zend::ModuleEntry;

use super::boundary::{park, unpark};
use super::ffi::display_ini_entries;
use super::names::{NAME, Owner, owner_of};
use super::{ini, open};
use crate::config::encryption::{Encryption, Plain};
use crate::registry::Registry;

/// PHP's callback.
pub extern "C" fn show(module: *mut ModuleEntry) {
    // SAFETY: prints with PHP's functions, owning nothing meanwhile: each text
    // is parked before PHP is called. `module` is PHP's own.
    unsafe {
        php_info_print_table_start();
        row(c"Redis session save handler", || "enabled".to_owned());
        row(c"Version", || env!("CARGO_PKG_VERSION").to_owned());
        row(c"Save handler redis", || served_by(c"redis"));
        row(c"Save handler rediscluster", || served_by(c"rediscluster"));
        row(c"Save handler redis_session", || served_by(NAME));
        row(c"TLS", || "rustls with ring, TLS 1.2 and 1.3".to_owned());
        row(c"Compression", || "lzf, zstd, lz4; all are read, whatever is set".to_owned());
        row(c"Encryption", || match ini::encryption() {
            Ok(None) => "off".to_owned(),
            Ok(Some(Encryption { plain, keyring, .. })) => {
                let id = &keyring.current().id;
                match plain {
                    Plain::Accepted => {
                        format!("AES-256-GCM, key {id}; plain sessions are read, too")
                    }
                    Plain::Refused => format!("AES-256-GCM, key {id}; plain sessions are refused"),
                }
            }
            Err(error) => error.to_string(),
        });
        row(c"Plain sessions read while encryption is on", || {
            let registry = Registry::current();
            registry.runtime().counters.plain_sessions.load(Ordering::Relaxed).to_string()
        });
        row(c"Redis client library", || {
            concat!("redis (Rust crate) ", env!("REDIS_CRATE")).to_owned()
        });
        row(c"Connections of this process", || {
            let registry = Registry::current();
            let counters = &registry.runtime().counters;
            let [open, reused, replaced] = [&counters.open, &counters.reused, &counters.replaced]
                .map(|counter| counter.load(Ordering::Relaxed));
            format!("{open} open, {reused} times reused, {replaced} replaced")
        });
        row(c"Open handlers of this process", || open::count().to_string());
        row(c"Last error of this process", || {
            Registry::current().runtime().counters.last_error().unwrap_or_else(|| "none".to_owned())
        });
        php_info_print_table_end();
        display_ini_entries(module.cast());
    }
}

/// # Safety
/// Calls PHP: the caller owns nothing that needs a destructor.
unsafe fn row(name: &'static CStr, value: impl FnOnce() -> String) {
    let value = park(&value());
    // SAFETY: two columns, two C strings; the value stays parked meanwhile,
    // whatever a callback for the output does.
    unsafe { php_info_print_table_row(2, name.as_ptr(), value.text) };
    unpark(value);
}

fn served_by(name: &CStr) -> String {
    match owner_of(name) {
        Owner::ThisExtension => "served by this extension".to_owned(),
        Owner::Another => "served by another extension (phpredis); use \
                            session.save_handler = redis_session to choose this one"
            .to_owned(),
        Owner::Unregistered => "not registered: PHP's table of save handlers is full".to_owned(),
    }
}
