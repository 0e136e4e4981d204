//! Standard output, and whether it can be written to at all.
//!
//! Rust opens `/dev/null` in the place of a closed standard output before `main`, and takes a write to one that is open for
//! reading alone for a success. Both would lose every ranking in silence.

use std::io::{self, StdoutLock, Write};

/// Standard output, locked.
///
/// # Errors
/// If it was closed, or not open for writing, when the program started.
pub fn lock() -> io::Result<StdoutLock<'static>> {
    check()?;
    Ok(io::stdout().lock())
}

/// Checks that standard output can be written to.
///
/// # Errors
/// As [`lock`].
pub fn check() -> io::Result<()> {
    #[cfg(unix)]
    if system::IS_UNUSABLE.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(io::Error::other(
            "it is closed, or open for reading alone; send it to a file with > or to a program with |",
        ));
    }
    Ok(())
}

/// Writes a text that is the whole output of a command. A pipe that its reader has closed is no error.
///
/// # Errors
/// If the system can't write it.
pub fn print(text: &[u8]) -> io::Result<()> {
    printed(|| {
        let mut stdout = lock()?;
        stdout.write_all(text)?;
        stdout.flush()
    })
}

/// Runs what writes a whole output, with the same rules as [`print()`].
///
/// # Errors
/// If `print` fails for another reason than a closed pipe.
pub fn printed(print: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match check().and_then(|()| print()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

#[cfg(unix)]
mod system {
    use std::sync::atomic::{AtomicBool, Ordering};

    pub(super) static IS_UNUSABLE: AtomicBool = AtomicBool::new(false);

    // It runs before Rust's own start, which would hide what was closed.
    #[ctor::ctor(unsafe)]
    fn look() {
        // SAFETY: the call reads the flags of a descriptor, open or not.
        let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFL) };
        let is_unusable = flags < 0 || flags & libc::O_ACCMODE == libc::O_RDONLY;
        IS_UNUSABLE.store(is_unusable, Ordering::Relaxed);
    }
}
