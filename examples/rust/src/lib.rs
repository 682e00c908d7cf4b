//! hz3 as the allocator of a Rust program:
//!
//! ```ignore
//! #[global_allocator]
//! static GLOBAL: hz3::Hz3 = hz3::Hz3;
//! ```
//!
//! It calls hz3 by its own names, so that it works whether or not the library also takes the place of `malloc`.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::ptr;

extern "C" {
    fn hz3_malloc(size: usize) -> *mut c_void;
    fn hz3_calloc(count: usize, size: usize) -> *mut c_void;
    fn hz3_realloc(p: *mut c_void, size: usize) -> *mut c_void;
    fn hz3_aligned_alloc(alignment: usize, size: usize) -> *mut c_void;
    fn hz3_free_sized(p: *mut c_void, size: usize);
    fn hz3_free_aligned_sized(p: *mut c_void, alignment: usize, size: usize);
    fn hz3_thread_flush();
    fn hz3_thread_idle();
    fn hz3_purge() -> usize;
    fn hz3_version() -> *const c_char;
    fn hz3_control(
        name: *const c_char,
        old: *mut c_void,
        old_bytes: *mut usize,
        new: *mut c_void,
        new_bytes: usize,
    ) -> c_int;
}

/// Every block is aligned to this; more has to be asked for.
const ALIGNED: usize = 16;

/// The allocator.  It has no state of its own.
pub struct Hz3;

unsafe impl GlobalAlloc for Hz3 {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= ALIGNED {
            hz3_malloc(layout.size()).cast()
        } else {
            hz3_aligned_alloc(layout.align(), layout.size()).cast()
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= ALIGNED {
            return hz3_calloc(1, layout.size()).cast();
        }
        let p = self.alloc(layout);
        if !p.is_null() {
            ptr::write_bytes(p, 0, layout.size());
        }
        p
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        if layout.align() <= ALIGNED {
            hz3_free_sized(p.cast(), layout.size());
        } else {
            hz3_free_aligned_sized(p.cast(), layout.align(), layout.size());
        }
    }

    unsafe fn realloc(&self, p: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= ALIGNED {
            return hz3_realloc(p.cast(), size).cast();
        }
        // hz3_realloc keeps no alignment but the usual one.
        let fresh = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
        if !fresh.is_null() {
            ptr::copy_nonoverlapping(p, fresh, layout.size().min(size));
            self.dealloc(p, layout);
        }
        fresh
    }
}

/// Send on what this thread has freed of other threads' blocks and still holds.
pub fn thread_flush() {
    unsafe { hz3_thread_flush() }
}

/// This thread will not allocate for a while.
pub fn thread_idle() {
    unsafe { hz3_thread_idle() }
}

/// Return all free memory to the system; the number of bytes that this were.
pub fn purge() -> usize {
    unsafe { hz3_purge() }
}

/// The version of the library.
pub fn version() -> &'static str {
    unsafe { CStr::from_ptr(hz3_version()) }.to_str().unwrap_or("?")
}

/// A statistic of hz3(3), such as "stats.allocated"; `None` if there is none of that name and type.
pub fn statistic(name: &str) -> Option<usize> {
    let name = CString::new(name).ok()?;
    let mut value = 0_usize;
    let mut bytes = std::mem::size_of::<usize>();
    let old = ptr::addr_of_mut!(value).cast();
    let error = unsafe { hz3_control(name.as_ptr(), old, &mut bytes, ptr::null_mut(), 0) };
    (error == 0).then_some(value)
}
