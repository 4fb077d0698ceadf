//! An allocator that ends the process where too much memory is in use.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the bytes in use, and ends the process at `MOST`.
pub struct Limited<const MOST: usize>(AtomicUsize);

impl<const MOST: usize> Limited<MOST> {
    pub const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }
}

// SAFETY: the system's allocator does the work.
unsafe impl<const MOST: usize> GlobalAlloc for Limited<MOST> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.0.fetch_add(layout.size(), Ordering::Relaxed) + layout.size() > MOST {
            std::process::abort();
        }
        // SAFETY: passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        self.0.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: passed on.
        unsafe { System.dealloc(start, layout) }
    }
}
