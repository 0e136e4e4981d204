//! The clients of stores, one for each bucket, and the runtime that they share.

use std::collections::HashMap;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, anyhow};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use tokio::runtime::{Builder, Runtime};

use super::address;
use super::environment::settings;
use super::problem;
use super::service::Connector;
use crate::exit::UsageError;

/// How long a request is repeated before the store is given up: time decides, as a store that is away comes back after a time.
pub(super) const LONGEST_ATTEMPTS: Duration = Duration::from_secs(120);

/// Threads that wait for timers and answers. Requests themselves run in threads that may block.
const THREADS: usize = 2;

/// A store, or why there is none.
pub(super) type Store = Arc<dyn ObjectStore>;

static RUNTIME: LazyLock<std::io::Result<Runtime>> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(THREADS).thread_name("store").enable_time().build());

static STORES: Mutex<Option<HashMap<String, Store>>> = Mutex::new(None);

/// The runtime on which requests run.
///
/// # Errors
/// If the system gives no threads for it.
pub(super) fn runtime() -> Result<&'static Runtime> {
    RUNTIME.as_ref().map_err(|error| anyhow!("no thread can be started for requests to stores: {error}"))
}

/// Waits for an answer.
///
/// # Errors
/// As [`runtime`].
pub(super) fn wait<T>(future: impl Future<Output = T>) -> Result<T> {
    runtime().map(|runtime| runtime.block_on(future))
}

/// The store of an address, and the key of the object there.
///
/// # Errors
/// If the address has a key that no store can have, or the environment has settings that make no sense.
pub(super) fn open(path: &Path) -> Result<(Store, Key)> {
    if address::is_web(path) {
        return Ok((web(path)?, Key::default()));
    }
    let (bucket, key) = address::parts(path);
    let key = Key::parse(key).map_err(|_| {
        UsageError::new(format!(
            "{}: a key can't be read that has an empty part between two slashes, or a part that is . or ..; copy the object to another \
             one",
            path.display()
        ))
    })?;
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    let stores = stores.get_or_insert_default();
    if let Some(store) = stores.get(bucket) {
        return Ok((Arc::clone(store), key));
    }
    let store = build(path, bucket)?;
    stores.insert(bucket.to_owned(), Arc::clone(&store));
    Ok((store, key))
}

/// A store with the settings of the environment.
///
/// # Errors
/// If one of them makes no sense.
fn build(path: &Path, bucket: &str) -> Result<Store> {
    let failed = |error: object_store::Error| anyhow::Error::from(UsageError::new(problem::of_settings(path, &error)));
    Ok(match bucket.split_once("://").map_or("", |(scheme, _)| scheme) {
        "s3" => {
            let builder = settings("AWS_", "")?
                .into_iter()
                .fold(AmazonS3Builder::new(), |builder, (key, value)| builder.with_config(key, value));
            let builder = builder.with_url(bucket).with_retry(retry()).with_http_connector(Connector);
            Arc::new(builder.build().map_err(failed)?)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::new();
            let builder = settings("GOOGLE_", "SERVICE_ACCOUNT")?
                .into_iter()
                .fold(builder, |builder, (key, value)| builder.with_config(key, value));
            let builder = builder.with_url(bucket).with_retry(retry()).with_http_connector(Connector);
            Arc::new(builder.build().map_err(failed)?)
        }
        _ => {
            let builder = MicrosoftAzureBuilder::new();
            let builder = settings("AZURE_", "IDENTITY_ENDPOINT")?
                .into_iter()
                .fold(builder, |builder, (key, value)| builder.with_config(key, value));
            let builder = builder.with_url(bucket).with_retry(retry()).with_http_connector(Connector);
            Arc::new(builder.build().map_err(failed)?)
        }
    })
}

/// A file on the web, as a store of one object.
fn web(path: &Path) -> Result<Store> {
    // The user has named http:// where it is not encrypted.
    let options = ClientOptions::new().with_allow_http(true);
    let builder = HttpBuilder::new().with_url(address::whole(path)).with_client_options(options).with_retry(retry());
    let store = builder.with_http_connector(Connector).build();
    store.map(|store| Arc::new(store) as _).map_err(|error| UsageError::new(problem::of_settings(path, &error)).into())
}

/// The library draws a wait between the first one and the last one times the base: with a base of 2, waits would hardly grow.
fn retry() -> RetryConfig {
    let backoff =
        BackoffConfig { init_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(20), base: 3.0 };
    RetryConfig { backoff, max_retries: usize::MAX, retry_timeout: LONGEST_ATTEMPTS }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_away_for_a_minute_is_waited_for() {
        let RetryConfig { backoff, max_retries, retry_timeout } = retry();
        let (first, most) = (backoff.init_backoff.as_secs_f64(), backoff.max_backoff.as_secs_f64());
        // The wait in the middle of those that the library may draw.
        let next = |wait: &f64| Some(((first + wait * backoff.base) / 2.0).min(most));
        let waits: Vec<f64> = std::iter::successors(Some(first), next).take(max_retries.min(20)).collect();
        let waited: f64 = waits.iter().sum::<f64>().min(retry_timeout.as_secs_f64());
        assert!(waited > 60.0 && waits.last().is_some_and(|last| *last > 10.0), "{waits:?}");
    }
}
