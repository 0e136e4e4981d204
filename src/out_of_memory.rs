//! When the system has no memory left, the program reports it in one line and ends with the status of a failure; by default
//! it would abort.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;

use crate::exit::Exit;

/// Reports that so many more bytes were needed, and ends the program.
pub fn exit(bytes: usize) -> ! {
    // Neither writing the message nor exiting may allocate memory.
    let _ = writeln!(
        std::io::stderr(),
        "error: out of memory: {bytes} more bytes were needed; lower --max-batch-tokens, --max-length or --threads, take \
         --dtype bf16 or int8, or a smaller model"
    );
    std::process::exit(Exit::Failed as i32)
}

/// The system's allocator, which ends the program by [`exit`] when an allocation fails.
pub struct Allocator;

/// The pointer that was allocated; if it is null, the program ends.
fn some(pointer: *mut u8, bytes: usize) -> *mut u8 {
    if pointer.is_null() {
        exit(bytes);
    }
    pointer
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that are needed.
        some(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        some(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        some(unsafe { System.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}
