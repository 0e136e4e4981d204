//! Requests over HTTP that failed on their way, in words.

use std::io::ErrorKind;
use std::time::Duration;

use ureq::{Error, Timeout};

/// What happened, as the end of a sentence about the machine that was asked; `limit` is how long its answer was awaited.
pub(crate) fn problem(error: &Error, limit: Duration) -> String {
    match error {
        Error::Timeout(Timeout::Resolve) => format!("its name was not resolved within {limit:?}"),
        Error::Timeout(Timeout::Connect) => format!("no connection came about within {limit:?}"),
        Error::Timeout(_) => format!("it accepted the connection and did not answer within {limit:?}"),
        Error::HostNotFound => "its name can't be resolved".to_owned(),
        Error::ConnectionFailed => "no connection could be made".to_owned(),
        Error::Io(error) if is_timeout(error) => format!("it did not answer within {limit:?}"),
        Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => "the connection was refused".to_owned(),
        Error::Io(error) if was_connected(error) => format!("the connection broke off ({error})"),
        Error::Io(error) if error.kind() == ErrorKind::InvalidData => {
            format!("no secure connection could be made ({error}); does it speak https at all?")
        }
        Error::Io(error) => format!("no connection could be made ({error})"),
        Error::ConnectProxyFailed(answer) => format!("the proxy refused to connect ({answer})"),
        Error::Rustls(error) => format!("no secure connection could be made ({error})"),
        other => format!("the connection failed ({other})"),
    }
}

/// Whether there was a connection before it failed.
pub(crate) fn was_connected(error: &std::io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | Interrupted | UnexpectedEof)
}

/// Whether a read ended because nothing came, rather than because the connection broke off.
pub(crate) fn is_timeout(error: &std::io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) || matches!(inner, Some(Error::Timeout(_)))
}
