//! When the system has no memory left, the program reports it in one line and ends with the status of a failure; by default
//! it would abort.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::Write;

use crate::exit::Exit;

thread_local! {
    /// Whether the thread holds records of the input, and computes nothing. Neither reading nor setting it allocates memory.
    static HOLDS_RECORDS: Cell<bool> = const { Cell::new(false) };
}

/// Does what needs memory for records of the input: if there is too little, the remedy is one of the input, and not of batches.
pub fn for_records<T>(work: impl FnOnce() -> T) -> T {
    let before = HOLDS_RECORDS.replace(true);
    let done = work();
    HOLDS_RECORDS.set(before);
    done
}

/// Reports that so many more bytes were needed, and ends the program.
pub fn exit(bytes: usize) -> ! {
    let (purpose, remedy) = match HOLDS_RECORDS.try_with(Cell::get) {
        Ok(true) => (
            " for records of the input",
            "a query whose candidates are fewer or shorter needs less, and so does a smaller --collection",
        ),
        _ => ("", "lower --max-batch-tokens, --max-length or --threads, take --dtype bf16 or int8, or a smaller model"),
    };
    // Neither writing the message nor exiting may allocate memory.
    let _ = writeln!(std::io::stderr(), "error: out of memory: {bytes} more bytes were needed{purpose}; {remedy}");
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
