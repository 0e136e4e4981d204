//! The panic of a request ends that request with an answer, and no connection.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// What a future returns; none, if it has panicked.
pub(super) async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    // After a panic it is not polled again.
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_no_result() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let panics = async {
            tokio::task::yield_now().await;
            panic!("a fault");
        };
        assert_eq!(runtime.block_on(caught(async { 1 })), Some(1));
        assert_eq!(runtime.block_on(caught::<u8>(panics)), None);
    }
}
