//! The list of a model's shards.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::not_json;
use crate::checkpoint::file_kind::read_text;

/// The index of a model of thousands of shards is far smaller.
const MOST_INDEX: u64 = 64 << 20;

/// The names of the shards that an index lists.
pub(super) fn shards_of(path: &Path) -> Result<BTreeSet<String>> {
    let text = read_text(path, MOST_INDEX)?;
    let wrong = || format!("{} is not an index of safetensors shards", path.display());
    let index: Value = serde_json::from_str(&text).map_err(|error| not_json(&error)).with_context(wrong)?;
    let map = index
        .get("weight_map")
        .and_then(Value::as_object)
        .context("it has no `weight_map` from tensors to files")
        .with_context(wrong)?;
    let mut shards = BTreeSet::new();
    for (tensor, shard) in map {
        let shard = shard.as_str().with_context(|| format!("the file of tensor {tensor} is not a name: {shard}"));
        shards.insert(shard.with_context(wrong)?.to_owned());
    }
    let is_inside = |shard: &&String| {
        let plain = |part: &str| !part.is_empty() && part != "..";
        shard.split('/').all(plain) && !shard.contains(['\\', ':'])
    };
    if let Some(shard) = shards.iter().find(|shard| !is_inside(shard)) {
        bail!(
            "{} names a shard outside the model, or by a way that leads out of it: {shard}; name it by its path in the model's folder",
            path.display()
        );
    }
    if let Some(shard) = shards.iter().find(|shard| !shard.ends_with(".safetensors")) {
        bail!("{} names {shard}, and rerank reads shards in safetensors only", path.display());
    }
    ensure!(!shards.is_empty(), "{} names no shards", path.display());
    Ok(shards)
}
