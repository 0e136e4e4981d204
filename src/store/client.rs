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
use super::problem;
use super::service::Connector;
use crate::exit::UsageError;

/// How often a request is repeated, and for how long, before the store is given up.
pub(super) const ATTEMPTS: usize = 8;
const LONGEST_ATTEMPTS: Duration = Duration::from_secs(120);

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
    let store = build(bucket).map_err(|error| UsageError::new(problem::of_settings(path, &error)))?;
    stores.insert(bucket.to_owned(), Arc::clone(&store));
    Ok((store, key))
}

/// A store with the settings of the environment.
fn build(bucket: &str) -> object_store::Result<Store> {
    Ok(match bucket.split_once("://").map_or("", |(scheme, _)| scheme) {
        "s3" | "s3a" => {
            let builder = AmazonS3Builder::from_env().with_url(bucket).with_retry(retry());
            Arc::new(builder.with_http_connector(Connector).build()?)
        }
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env().with_url(bucket).with_retry(retry());
            Arc::new(builder.with_http_connector(Connector).build()?)
        }
        _ => {
            let builder = MicrosoftAzureBuilder::from_env().with_url(bucket).with_retry(retry());
            Arc::new(builder.with_http_connector(Connector).build()?)
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

fn retry() -> RetryConfig {
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(15),
        ..BackoffConfig::default()
    };
    RetryConfig { backoff, max_retries: ATTEMPTS, retry_timeout: LONGEST_ATTEMPTS }
}
