//! The module that PHP loads. The only unsafe code, the only calls of PHP.
//!
//! What may happen when:
//! - `MINIT` runs once, in PHP-FPM before the workers are forked and as root:
//!   it registers names and starts no thread, opens no file, no connection.
//! - Requests run in a forked worker, or in one of several threads. All state
//!   is a thread's handlers, which `open` keeps, or hangs on the process.
//! - When a request ends, or a visit of a script that serves many, `visit`
//!   settles what is still open. PHP does not promise to close anything.
//! - `MSHUTDOWN` closes the connections. Our code stays mapped after PHP has
//!   unloaded us, because the helper thread may still be on its way out.
#![allow(unsafe_code)]

mod boundary;
mod callbacks;
mod ffi;
mod headers;
mod info;
mod ini;
mod masking;
mod names;
mod open;
mod request;
mod visit;

use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::Once;

use ext_php_rs::builders::{ModuleBuilder, ModuleStartup};
use ext_php_rs::ffi::_zend_module_dep as zend_module_dep;
use ext_php_rs::zend::{ModuleAllocations, ModuleEntry, StaticModuleEntry};

use self::names::NAME;
use crate::registry::{self, Registry};
use crate::runtime::fork;

extern "C" fn startup(_type: c_int, module: c_int) -> c_int {
    std::panic::set_hook(Box::new(|_| {})); // a caught panic becomes a warning
    ini::register(module);
    masking::start();
    visit::start();
    watch_forks();
    names::register();
    0
}

/// Lets us know of each fork of this process.
fn watch_forks() {
    static ONCE: Once = Once::new();
    extern "C" fn before() {
        registry::before_fork();
    }
    extern "C" fn after() {
        fork::conclude();
    }
    // SAFETY: neither function panics nor calls PHP, and our code stays mapped
    // for as long as the process lives. It fails for want of memory, and then
    // forks are merely not seen.
    ONCE.call_once(|| unsafe {
        nix::libc::pthread_atfork(Some(before), Some(after), Some(after));
    });
}

extern "C" fn shutdown(_type: c_int, _module: c_int) -> c_int {
    visit::stop();
    masking::stop();
    Registry::shut_down();
    0
}

struct Dependencies([zend_module_dep; 3]);
// SAFETY: the table is constant, and its pointers are to constants.
unsafe impl Sync for Dependencies {}
/// PHP starts these before us, whatever the order of the `extension=` lines:
/// the session module because we register with it, phpredis so that we see
/// which names it has taken.
static DEPENDENCIES: Dependencies = Dependencies([
    dependency(c"session".as_ptr(), MODULE_DEP_REQUIRED),
    dependency(c"redis".as_ptr(), MODULE_DEP_OPTIONAL),
    dependency(ptr::null(), 0),
]);

const MODULE_DEP_REQUIRED: u8 = 1;
const MODULE_DEP_OPTIONAL: u8 = 3;

const fn dependency(name: *const c_char, type_: u8) -> zend_module_dep {
    zend_module_dep { name, rel: ptr::null(), version: ptr::null(), type_ }
}

static MODULE: StaticModuleEntry = StaticModuleEntry::new();

/// Where PHP enters: the description of this module.
#[unsafe(no_mangle)]
pub extern "C" fn get_module() -> *mut ModuleEntry {
    MODULE.get_or_init(|| {
        let name = NAME.to_str().unwrap_or_default();
        let builder = ModuleBuilder::new(name, env!("CARGO_PKG_VERSION"))
            .startup_function(startup)
            .shutdown_function(shutdown)
            .request_startup_function(visit::begin_request)
            .post_deactivate_function(visit::after_all)
            .info_function(info::show);
        let built: Result<(ModuleEntry, ModuleStartup, ModuleAllocations), _> = builder.try_into();
        match built {
            Ok((mut entry, _, allocations)) => {
                entry.deps = DEPENDENCIES.0.as_ptr();
                (entry, allocations)
            }
            // It fails for names with a NUL byte, or for functions; this has neither.
            Err(_) => std::process::abort(),
        }
    })
}
