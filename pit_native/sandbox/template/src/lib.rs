//! What the interpreter of a warm template loads: one function, which returns in its copies.
//!
//! All decisions are the crate `sandbox`'s. This library only sees to it that nothing of the construction of a
//! sandbox is left in the memory of the Player that it was made for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr;

/// The system's allocator, which forgets what it is given back.
struct Forgetful;

// SAFETY: every call goes on to the system's allocator with the same layout.
unsafe impl GlobalAlloc for Forgetful {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller gives back `layout.size()` bytes. Volatile, since nobody reads them any more.
        unsafe {
            for offset in 0..layout.size() {
                ptr::write_volatile(place.add(offset), 0);
            }
            System.dealloc(place, layout);
        }
    }
}

#[global_allocator]
static ALLOCATOR: Forgetful = Forgetful;

/// Serves the host as a template. Returns only in a Player, inside its sandbox, with its environment in place of
/// this process's, and as `NAME=VALUE` texts, each followed by a NUL; their number of bytes is stored in `length`.
///
/// # Safety
/// `length` must be valid for a write. The process must have one thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn symphony_template_serve(length: *mut usize) -> *const u8 {
    let environment = sandbox::serve_template();
    forget_stack();
    let mut text = Vec::new();
    // SAFETY: with one thread nobody else reads it.
    unsafe { libc::clearenv() };
    for (name, value) in &environment {
        // SAFETY: as above. A variable of a checked spec can be set.
        unsafe { std::env::set_var(name, value) };
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(value.as_bytes());
        text.push(0);
    }
    // SAFETY: the caller's. The text stays for as long as the process does.
    unsafe {
        length.write(text.len());
        text.leak().as_ptr()
    }
}

/// How deep below this frame calls have written at most.
const DEPTH: usize = 256 << 10;

/// Empties the part of the stack that calls have used and left.
#[inline(never)]
fn forget_stack() {
    // SAFETY: below this frame's page, and one page more for the system call, the stack is unused; a page of it
    // that is given back reads as zero. What lies below the mapped part is passed over.
    unsafe {
        let page = libc::sysconf(libc::_SC_PAGESIZE) as usize;
        let here = (&raw const page).addr();
        let end = (here & !(page - 1)) - page;
        libc::madvise(
            ptr::with_exposed_provenance_mut(end - DEPTH),
            DEPTH,
            libc::MADV_DONTNEED,
        );
    }
    forget_pages();
}

/// The two pages that [`forget_stack`] must leave mapped.
#[inline(never)]
fn forget_pages() {
    let mut left = [0u8; 8 << 10];
    for byte in &mut left {
        // SAFETY: a byte of this frame.
        unsafe { ptr::write_volatile(byte, 0) };
    }
    std::hint::black_box(&left);
}
