//! When the system has no memory left: one line that says so, and the status of a failure, in place of an abort.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;

use crate::exit::Exit;

/// Ends the program for want of so many bytes.
pub fn exit(bytes: usize) -> ! {
    // Neither the message nor the end may need memory.
    let _ = writeln!(
        std::io::stderr(),
        "error: out of memory: {bytes} more bytes were needed; lower --max-batch-tokens, --max-length or --threads, take \
         --dtype bf16 or int8, or a smaller model"
    );
    std::process::exit(Exit::Failed as i32)
}

/// The system's allocator, and [`exit`] where it has nothing left.
pub struct Allocator;

/// The pointer, unless there is none.
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
