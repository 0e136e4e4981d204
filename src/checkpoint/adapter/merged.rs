//! A checkpoint's weights with those of an adapter.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};

use super::Adapter;
use super::fit::{Change, head_is_embedding};
use super::keys::Part;
use super::matrices::{Matrices, dtype, widened};
use super::rows::MergedRows;
use crate::checkpoint::safetensors_file::{Entry, Mapped};
use crate::checkpoint::tensor_names::{LM_HEAD, stored_names};
use crate::checkpoint::{RowSource, StoredRows, Weights};
use crate::model::{Architecture, HeadOutput, Tensor};

/// What stands before the name of an embedding that an adapter changes while the head, which is the same, stays.
const APART: &str = "adapter/";

/// An adapter, and what it changes.
pub(in crate::checkpoint) struct Merged {
    adapter: Adapter,
    changes: BTreeMap<String, Change>,
    /// A head and an embedding that are one in the checkpoint, and differ by the adapter: the name of the changed one, and the
    /// checkpoint's.
    apart: Option<(String, String)>,
}

impl Weights {
    /// Lets the adapter's whole tensors stand in place of the checkpoint's.
    pub fn attach(&mut self, adapter: Adapter) {
        self.adapter = Some(Box::new(Merged { adapter, changes: BTreeMap::new(), apart: None }));
    }

    /// What is merged into them.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref().map(|merged| &merged.adapter)
    }

    /// Adds the adapter's matrices to the model's weights.
    ///
    /// # Errors
    /// If the adapter is not one of this model.
    pub fn merge(&mut self, architecture: &mut Architecture) -> Result<()> {
        let Some(merged) = &mut self.adapter else { return Ok(()) };
        merged.changes = merged.adapter.fit(architecture)?;
        merged.part(architecture)
    }
}

impl Merged {
    /// The tensor that stands in place of the model's.
    pub(in crate::checkpoint) fn whole(&self, name: &str) -> Option<(&str, &Mapped, &Entry)> {
        let file = &self.adapter.file;
        let found = stored_names(name).iter().find_map(|name| file.tensors.get_key_value(name));
        found.map(|(name, entry)| (name.as_str(), file, entry))
    }

    /// The name of a tensor in the checkpoint.
    pub(in crate::checkpoint) fn own_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.apart.as_ref().filter(|(changed, _)| changed == name).map_or(name, |(_, own)| own)
    }

    /// The rows of a tensor with what is added to them.
    pub(in crate::checkpoint) fn rows<'a>(
        &'a self,
        tensor: &Tensor,
        base: Box<dyn RowSource + 'a>,
    ) -> Result<Box<dyn RowSource + 'a>> {
        let Some(Change::Product { module, expected }) = self.changes.get(&tensor.name) else { return Ok(base) };
        let [a, b] = self.adapter.matrices(module, expected.is_embedding)?.map(|(_, entry)| entry);
        let matrices = Matrices::new(&self.adapter.file, [a, b], expected)?;
        Ok(Box::new(MergedRows::new(base, matrices, tensor.rows.clone())))
    }

    /// Adds to a vector.
    pub(in crate::checkpoint) fn add_to(&self, tensor: &Tensor, values: &mut [f32]) -> Result<()> {
        let Some(Change::Vector { module, scale }) = self.changes.get(&tensor.name) else { return Ok(()) };
        let parts = self.adapter.modules.get(module);
        let Some((_, entry)) = parts.and_then(|parts| parts.get(&Part::Bias)) else { return Ok(()) };
        let stored = StoredRows { dtype: dtype(entry)?, bytes: self.adapter.file.bytes(entry), inputs: 1 };
        let added = widened(&stored, tensor.rows.clone());
        values.iter_mut().zip(added).for_each(|(value, added)| *value += scale * added);
        Ok(())
    }

    /// Parts a head from the embedding that it is in the checkpoint, where the adapter changes one of them: PEFT wraps each of both
    /// modules by itself.
    fn part(&mut self, architecture: &mut Architecture) -> Result<()> {
        if !head_is_embedding(architecture) {
            return Ok(());
        }
        let own = architecture.embedding.tokens.name.clone();
        let module = own.trim_end_matches(".weight");
        let is_saved = self.whole(&own).is_some() && self.adapter.saved_as(module)?.is_some();
        let changes_embedding = self.changes.contains_key(&own) || is_saved;
        let changes_head = self.changes.contains_key(LM_HEAD);
        if !changes_embedding && !changes_head {
            return Ok(());
        }
        if self.adapter.settings.ties {
            bail!(
                "{}: ensure_weight_tying is true, and the adapter changes the embedding or the head, which are one in this model; that \
                 is not supported: merge it with merge_and_unload() of peft",
                self.adapter.config.display()
            );
        }
        ensure!(
            !(is_saved && changes_head),
            "{}: the embedding is saved whole, and matrices are added to the head that is the same; that is not supported",
            self.adapter.path.display()
        );
        if changes_embedding {
            let changed = format!("{APART}{own}");
            if let Some(change) = self.changes.remove(&own) {
                self.changes.insert(changed.clone(), change);
            }
            if is_saved {
                let names = stored_names(&own);
                let tensors = &mut self.adapter.file.tensors;
                if let Some(entry) = names.iter().find_map(|name| tensors.remove(name)) {
                    tensors.insert(changed.clone(), entry);
                }
            }
            architecture.embedding.tokens.name.clone_from(&changed);
            self.apart = Some((changed, own));
        } else if let HeadOutput::Vocabulary(head) = &mut architecture.head.output {
            LM_HEAD.clone_into(&mut head.name);
            self.apart = Some((LM_HEAD.to_owned(), own));
        }
        if changes_head && changes_embedding {
            // The head has its own changes, by its own name, on the rows that both have in the checkpoint.
            if let (HeadOutput::Vocabulary(head), Some(change)) =
                (&mut architecture.head.output, self.changes.remove(LM_HEAD))
            {
                self.changes.insert(head.name.clone(), change);
            }
        }
        Ok(())
    }
}
