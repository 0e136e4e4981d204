//! Which GGUF file a model's weights are in.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};

use super::{CONFIG, INDEX, ModelFiles, Place, SINGLE};
use crate::checkpoint::gguf::{Gguf, GgufFile, Metadata, has_description, parts};
use crate::checkpoint::hub::Beginning;

const ENDING: &str = ".gguf";
/// The most files that a message lists.
const MOST_LISTED: usize = 12;

/// How much of a GGUF file is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// All of it.
    Whole,
    /// What stands before its tensors, which describes the model. A file on this machine is opened as a whole.
    Description,
}

impl ModelFiles {
    /// Finds the model's GGUF file and opens it: the `wanted` one, by its name or its quantization, or else the only one of a
    /// model without safetensors.
    ///
    /// # Errors
    /// If there is no such file, or several could be meant, or it can't be read.
    pub fn find_gguf(&mut self, wanted: Option<&str>, extent: Extent) -> Result<()> {
        let name = match wanted {
            // A file on this machine was recognised by its content, whatever it is called.
            Some(name) if name.ends_with(ENDING) || matches!(self.place, Place::Directory(_)) => Some(name.to_owned()),
            Some(quantization) => Some(self.of_quantization(quantization)?),
            None => self.only_gguf()?,
        };
        let Some(name) = name else { return Ok(()) };
        let names = parts(&name);
        self.check_parts(&names)?;
        let files = names.iter().map(|part| self.open_gguf(part, extent)).collect::<Result<Vec<_>>>()?;
        self.gguf = Some(Arc::new(Gguf::new(files)?));
        Ok(())
    }

    fn open_gguf(&self, name: &str, extent: Extent) -> Result<GgufFile> {
        if let Place::Hub(hub) = &self.place
            && extent == Extent::Description
            && !self.is_here(name)
            && self.has(name)?
            && let Some(Beginning { bytes, size }) = hub.beginning(&self.located(name), has_description)?
        {
            return GgufFile::of_beginning(Path::new(&format!("{}:{name}", hub.id())), &bytes, size);
        }
        GgufFile::open(&self.get(name)?)
    }

    /// Names the parts of a model that are missing. Where nobody knows what the hub has, the download of a part reports it.
    fn check_parts(&self, names: &[String]) -> Result<()> {
        let mut missing: Vec<&str> = names.iter().map(String::as_str).filter(|name| !self.is_here(name)).collect();
        if let Place::Hub(hub) = &self.place
            && !missing.is_empty()
        {
            let known = hub.names()?;
            missing.retain(|name| !known.is_empty() && !known.iter().any(|other| other == name));
        }
        ensure!(
            missing.is_empty() || names.len() == 1,
            "{} has no {}: {} of the {} parts of the model are missing; its parts must stand together under the names that they were \
             published with",
            self.own_name(),
            missing.iter().take(MOST_LISTED).copied().collect::<Vec<_>>().join(", "),
            missing.len(),
            names.len()
        );
        Ok(())
    }

    /// The model in GGUF, if its weights are that.
    pub(crate) fn gguf(&self) -> Option<&Arc<Gguf>> {
        self.gguf.as_ref()
    }

    /// What the model's GGUF file states of it, if its weights are in one: the tokenizer among others.
    pub(crate) fn metadata(&self) -> Option<&Metadata> {
        self.gguf.as_deref().map(Gguf::metadata)
    }

    /// What the file itself states that the model is called, and its own name.
    pub(super) fn names_in_gguf(&self) -> Vec<String> {
        let Some(gguf) = &self.gguf else { return Vec::new() };
        let stem = gguf.metadata().path().file_stem().map(|stem| stem.to_string_lossy().into_owned());
        let stated = ["general.name", "general.basename"].into_iter();
        // A name is for people: one of another type is none.
        let stated = stated.filter_map(|name| gguf.metadata().text(name).ok().flatten().map(str::to_owned));
        // Words of a name stand apart by spaces in some files, and by hyphens on the hub.
        stem.into_iter().chain(stated.map(|name| name.replace(' ', "-"))).collect()
    }

    /// The first file of each model in GGUF: of several parts, the first, and of files for images, none.
    fn gguf_files(&self) -> Result<BTreeSet<String>> {
        let names = match &self.place {
            Place::Directory(directory) => {
                let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
                entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
            }
            Place::Hub(hub) => hub.all_names()?,
        };
        let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_lowercase();
        let is_model = |name: &String| name.ends_with(ENDING) && !last(name).starts_with("mmproj");
        Ok(names.into_iter().filter(is_model).filter_map(|name| parts(&name).into_iter().next()).collect())
    }

    /// The only GGUF file of a model that has no safetensors.
    fn only_gguf(&self) -> Result<Option<String>> {
        // A model on the hub whose weights are here needs no request.
        if self.is_here(SINGLE) || self.is_here(INDEX) {
            return Ok(None);
        }
        if let Place::Hub(hub) = &self.place {
            // Nor does one of which other files are here: a GGUF file comes before them.
            let is_gguf = |name: &String| name.ends_with(ENDING);
            if self.is_here(CONFIG) && !hub.cached_names().iter().any(is_gguf) {
                return Ok(None);
            }
        }
        let files = self.gguf_files()?;
        if files.is_empty() || self.has(SINGLE)? || self.has(INDEX)? {
            return Ok(None);
        }
        match &files.iter().collect::<Vec<_>>()[..] {
            [only] => Ok(Some((*only).clone())),
            _ => bail!("{} has several GGUF files: {}; {}", self.own_name(), listed(&files), self.how_to_name(&files)),
        }
    }

    /// The file whose name has this quantization.
    fn of_quantization(&self, quantization: &str) -> Result<String> {
        let files = self.gguf_files()?;
        let found: BTreeSet<String> = files.iter().filter(|name| has_word(name, quantization)).cloned().collect();
        if let Place::Hub(hub) = &self.place
            && hub.is_offline()
            && found.is_empty()
        {
            bail!(
                "no GGUF file of {quantization} of {} has been downloaded yet, and the run is offline; run once without --offline, or \
                 name a local file with --model",
                hub.name()
            );
        }
        ensure!(
            !files.is_empty(),
            "{} has no GGUF file, of which {quantization} could be a quantization; leave :{quantization} out",
            self.own_name()
        );
        match &found.iter().collect::<Vec<_>>()[..] {
            [only] => Ok((*only).clone()),
            [] => bail!("{} has no GGUF file of {quantization}; it has {}", self.own_name(), listed(&files)),
            _ => bail!(
                "{} has several GGUF files of {quantization}: {}; {}",
                self.own_name(),
                listed(&found),
                self.how_to_name(&found)
            ),
        }
    }

    /// The model's place, as messages name it.
    fn own_name(&self) -> String {
        match &self.place {
            Place::Directory(directory) => directory.display().to_string(),
            Place::Hub(hub) => format!("model {} on the hub", hub.name()),
        }
    }

    fn how_to_name(&self, files: &BTreeSet<String>) -> String {
        let first = files.first().map_or("", String::as_str);
        match &self.place {
            Place::Directory(directory) => format!("name one of them: --model {}", directory.join(first).display()),
            Place::Hub(hub) => format!("name one of them: --model {}:{first}", hub.id()),
        }
    }
}

fn listed(files: &BTreeSet<String>) -> String {
    let shown: Vec<&str> = files.iter().take(MOST_LISTED).map(String::as_str).collect();
    let more = files.len() - shown.len();
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// Whether a file's name has a word, such as `Q4_K_M`: `Q4_K` is none of its words.
fn has_word(name: &str, word: &str) -> bool {
    let (name, word) = (name.to_lowercase(), word.to_lowercase());
    let is_inside = |character: char| character.is_alphanumeric() || character == '_';
    name.match_indices(&word).any(|(start, found)| {
        let before = name.get(..start).and_then(|before| before.chars().next_back());
        let behind = name.get(start + found.len()..).and_then(|behind| behind.chars().next());
        !before.is_some_and(is_inside) && !behind.is_some_and(is_inside)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantization_is_a_word_of_a_name() {
        for (name, word, has) in [
            ("Qwen3-Reranker-0.6B-Q4_K_M.gguf", "q4_k_m", true),
            ("Qwen3-Reranker-0.6B.Q4_K_M.gguf", "Q4_K_M", true),
            ("Q8_0/qwen-00001-of-00002.gguf", "Q8_0", true),
            ("m-UD-Q4_K_XL.gguf", "UD-Q4_K_XL", true),
            ("m-Q4_K_M.gguf", "Q4_K", false),
            ("m-IQ4_NL.gguf", "Q4_NL", false),
        ] {
            assert_eq!(has_word(name, word), has, "{name} {word}");
        }
    }
}
