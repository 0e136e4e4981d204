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

/// Whether standard output is a file on a disk, and no pipe, terminal or device.
pub fn is_file() -> bool {
    #[cfg(unix)]
    return system::open().and_then(|file| file.metadata()).is_ok_and(|file| file.is_file());
    #[cfg(not(unix))]
    false
}

/// Writes a part of an output as a whole. If that fails and standard output is a file, nothing stays of the part.
///
/// # Errors
/// As [`lock`], and if the system can't write it.
pub fn write_whole(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = lock()?;
    // Nothing of another part waits behind the lock.
    stdout.flush()?;
    #[cfg(unix)]
    return system::write_whole(&system::open()?, bytes);
    #[cfg(not(unix))]
    stdout.write_all(bytes).and_then(|()| stdout.flush())
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
    use std::fs::File;
    use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
    use std::os::fd::{AsFd, AsRawFd};
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

    /// Standard output without a buffer, at the same place.
    pub(super) fn open() -> io::Result<File> {
        Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
    }

    pub(super) fn write_whole(mut file: &File, bytes: &[u8]) -> io::Result<()> {
        let mut left = bytes;
        while !left.is_empty() {
            match file.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => left = left.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Another program that has the pipe too may have made it one that does not wait.
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait(file)?,
                Err(error) => {
                    // That the part could not be written is reported in any case.
                    let _ = take_back(file, (bytes.len() - left.len()) as u64);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits until a pipe has room.
    fn wait(file: &File) -> io::Result<()> {
        let mut polled = libc::pollfd { fd: file.as_raw_fd(), events: libc::POLLOUT, revents: 0 };
        // SAFETY: the call reads and writes one structure, which lives until it returns.
        match unsafe { libc::poll(&raw mut polled, 1, -1) } {
            ready if ready >= 0 => Ok(()),
            _ => Err(io::Error::last_os_error()).or_else(|error| match error.kind() {
                ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            }),
        }
    }

    /// Removes the last bytes of a file. What another program has written behind them stays.
    fn take_back(mut file: &File, bytes: u64) -> io::Result<()> {
        let (metadata, position) = (file.metadata()?, file.stream_position()?);
        if metadata.is_file() && metadata.len() == position && bytes > 0 {
            let end = position.saturating_sub(bytes);
            file.set_len(end)?;
            file.seek(SeekFrom::Start(end))?;
        }
        Ok(())
    }
}
