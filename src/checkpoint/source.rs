//! What `--model` and `--revision` mean: a local directory, an id on the Hugging Face hub, or no model.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail, ensure};

use super::{Downloads, ModelFiles, file_kind};

/// What `--revision` is where it is left out.
const DEFAULT_REVISION: &str = "main";
/// Longest id that the hub has.
const LONGEST_ID: usize = 96 * 2 + 1;
/// Longest name of a revision, which is a file's name in the cache.
const LONGEST_REVISION: usize = 200;

/// `--model` as it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// A directory with `config.json`, `tokenizer.json` and safetensors, or with a GGUF file.
    Directory(PathBuf),
    /// A GGUF file, or the first of its parts.
    Gguf(PathBuf),
    /// A repository on the hub.
    Hub {
        /// `owner/name`.
        id: String,
        /// The GGUF file that is meant, or its quantization.
        file: Option<String>,
        /// Branch, tag or commit.
        revision: String,
        /// Whether only files that were downloaded before may be used.
        offline: bool,
    },
    /// No model: words in common are counted.
    Fake,
}

impl std::fmt::Display for ModelSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory(path) | Self::Gguf(path) => write!(formatter, "{}", path.display()),
            Self::Hub { id, file: None, revision, .. } => write!(formatter, "{id}@{revision}"),
            Self::Hub { id, file: Some(file), revision, .. } => write!(formatter, "{id}:{file}@{revision}"),
            Self::Fake => formatter.write_str("fake"),
        }
    }
}

impl ModelSource {
    /// The GGUF file that is meant, or its quantization, if one is.
    pub fn file(&self) -> Option<String> {
        match self {
            Self::Gguf(path) => path.file_name().map(|name| name.to_string_lossy().into_owned()),
            Self::Hub { file, .. } => file.clone(),
            Self::Directory(_) | Self::Fake => None,
        }
    }

    /// Understands `--model`.
    ///
    /// # Errors
    /// If it is neither an existing directory nor an id.
    pub fn parse(model: &str, revision: &str, offline: bool) -> Result<Self> {
        let path = Path::new(model);
        let local = if model == "fake" { Some(Self::Fake) } else { None };
        let local = local.or_else(|| path.is_dir().then(|| Self::Directory(path.to_owned())));
        let local = local.or_else(|| is_gguf(path).then(|| Self::Gguf(path.to_owned())));
        if let Some(local) = local {
            ensure!(
                revision == DEFAULT_REVISION,
                "--revision {revision:?}: only models on the hub have revisions, and --model {model} is none"
            );
            return Ok(local);
        }
        ensure!(!path.exists(), "--model {model}: {}", instead_of_a_directory(path));
        let (id, file) = match model.split_once(':').filter(|_| !model.contains("://")) {
            Some((id, file)) => (id, Some(file)),
            None => (model, None),
        };
        let problem = unreachable(path).or_else(|| in_directory(id, file?)).or_else(|| no_file(file));
        if let Some(problem) = problem.or_else(|| no_id(id)) {
            bail!("--model {model}: {problem}");
        }
        ensure!(
            is_revision(revision),
            "--revision {revision:?} is no name of a branch, a tag or a commit; leave it out for main"
        );
        Ok(Self::Hub { id: id.to_owned(), file: file.map(str::to_owned), revision: revision.to_owned(), offline })
    }
}

impl ModelSource {
    /// The model's files.
    ///
    /// # Errors
    /// If it has none, or the hub's client can't be set up.
    pub fn files(&self, downloads: Downloads) -> Result<ModelFiles> {
        match self {
            Self::Directory(directory) => Ok(ModelFiles::in_directory(directory)),
            Self::Gguf(path) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                Ok(ModelFiles::in_directory(folder.unwrap_or(Path::new("."))))
            }
            Self::Hub { id, revision, offline, .. } => ModelFiles::on_hub(id, revision, *offline, downloads),
            Self::Fake => bail!("the model `fake` has no files"),
        }
    }

    /// Understands `--adapter`.
    ///
    /// # Errors
    /// As [`ModelSource::parse`].
    pub(super) fn parse_adapter(adapter: &str, offline: bool) -> Result<Self> {
        ensure!(
            !adapter.trim().is_empty(),
            "--adapter {adapter:?} names no adapter: name its directory or its id on the hub, or leave the option out"
        );
        let path = Path::new(adapter);
        if path.is_dir() {
            return Ok(Self::Directory(path.to_owned()));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        ensure!(
            !path.exists(),
            "--adapter {adapter}: this is a file; name the directory that holds adapter_config.json and adapter_model.safetensors: {}",
            folder.display()
        );
        if let Some((id, _)) = adapter.split_once('@').filter(|(id, _)| no_id(id).is_none()) {
            bail!(
                "--adapter {adapter}: there is no such directory, and an adapter is taken from the branch main; for another revision, \
                 download it and name its directory, or leave that out: {id}"
            );
        }
        if let Some(problem) = unreachable(path).or_else(|| no_id(adapter)) {
            bail!("--adapter {adapter}: {problem}");
        }
        Ok(Self::Hub { id: adapter.to_owned(), file: None, revision: DEFAULT_REVISION.to_owned(), offline })
    }
}

/// The reason why a path does not lead to a directory, if the system gives another one than that nothing is there.
fn unreachable(path: &Path) -> Option<String> {
    if let Err(error) = path.metadata() {
        if path.is_symlink() {
            return Some(format!("this link does not lead to a directory ({error})"));
        }
        if error.kind() == std::io::ErrorKind::PermissionDenied {
            return Some(format!("cannot look for this directory ({error}); a directory above it may not be entered"));
        }
    }
    None
}

/// Whether a path is that of a GGUF file, by its content or its name.
fn is_gguf(path: &Path) -> bool {
    let is_called = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"));
    path.is_file() && (is_called || file_kind::head(path).is_ok_and(|head| head.starts_with(b"GGUF")))
}

/// Why a text is no repository on the hub with a file, or a quantization, if it names a local directory with GGUF files.
fn in_directory(directory: &str, file: &str) -> Option<String> {
    const MOST_NAMED: usize = 3;
    let entries = Path::new(directory).read_dir().ok()?.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| is_gguf(path)).collect();
    files.sort();
    let is_meant = |path: &&PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().to_lowercase().contains(&file.to_lowercase()))
    };
    let meant: Vec<&PathBuf> = files.iter().filter(is_meant).collect();
    let named = if meant.is_empty() { files.iter().collect() } else { meant };
    let named: Vec<String> = named.into_iter().take(MOST_NAMED).map(|path| path.display().to_string()).collect();
    (!named.is_empty()).then(|| {
        let named = named.join(" or --model ");
        format!("{directory} is a local directory, and a GGUF file in one is named by its path: --model {named}")
    })
}

/// Why a text can't be the name of a file of a repository, or a quantization.
fn no_file(file: Option<&str>) -> Option<String> {
    let usual = |character: char| character.is_ascii_alphanumeric() || "-_.+ ".contains(character);
    let part = |part: &str| !part.is_empty() && part.chars().all(usual) && !part.starts_with('.');
    let right = file?.split('/').all(part);
    (!right).then(|| {
        "behind the colon stands a GGUF file of the repository, or its quantization: owner/name:file.gguf, owner/name:Q4_K_M"
            .to_owned()
    })
}

/// Why a text is not an id on the hub, and what may have been meant.
fn no_id(model: &str) -> Option<String> {
    const NONE: &str = "there is no such directory, and an id on the hub has the form owner/name";
    if model.to_lowercase().ends_with(".gguf") {
        let id = model.splitn(3, '/').collect::<Vec<_>>();
        return Some(match id[..] {
            [owner, name, file] if !owner.is_empty() && !owner.starts_with('.') => format!(
                "there is no such file; a GGUF file of a repository on the hub stands behind a colon: {owner}/{name}:{file}"
            ),
            _ => {
                "there is no such file; a GGUF file of a repository on the hub is named owner/name:file.gguf".to_owned()
            }
        });
    }
    if model.trim().is_empty() {
        return Some("a model's directory is needed, or its id on the hub".to_owned());
    }
    if let Some(path) = model.strip_prefix("file://") {
        return Some(format!("a directory is named by its path, not by an address: {path}"));
    }
    if model.starts_with(['~', '$', '%']) {
        return Some(
            "there is no such directory; the shell replaces ~ and variables in paths, though not in quotes".to_owned(),
        );
    }
    if let Some(id) = id_in_address(model) {
        return Some(format!("a model on the hub is named by its id, not by its address: {id}"));
    }
    if model.contains("://") {
        return Some("an address can't be read; name a directory, or a model's id on the hub".to_owned());
    }
    if model.eq_ignore_ascii_case("fake") {
        return Some("there is no such directory; to score without a model, write `fake`".to_owned());
    }
    let local = model.starts_with(['.', '/']) || model.ends_with('/') || model.matches('/').count() != 1;
    if local {
        return Some(match model.contains(['/', '\\']) {
            true => NONE.to_owned(),
            false => format!("{NONE}, such as Qwen/Qwen3-Reranker-0.6B"),
        });
    }
    if let Some((id, revision)) = model.split_once('@').filter(|(id, _)| !id.is_empty()) {
        return Some(format!(
            "there is no such directory; a revision has its own option: --model {id} --revision {revision}"
        ));
    }
    let usual = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    let part = |part: &str| part.chars().all(usual) && !part.starts_with('.') && !part.contains("..");
    let right = model.split('/').all(part) && model.len() <= LONGEST_ID;
    (!right).then(|| format!("{NONE}, from letters, digits, `-`, `_` and `.`, {LONGEST_ID} at most"))
}

/// The id in a page's address on the hub, with or without its scheme.
fn id_in_address(address: &str) -> Option<String> {
    let address = ["https://", "http://"].iter().find_map(|scheme| address.strip_prefix(scheme)).unwrap_or(address);
    let hosts = ["huggingface.co/", "www.huggingface.co/", "hf.co/", "hf://"];
    let path = hosts.iter().find_map(|host| address.strip_prefix(host))?;
    let mut parts = path.trim_start_matches("models/").split(['/', '?', '#']).filter(|part| !part.is_empty());
    Some(format!("{}/{}", parts.next()?, parts.next()?))
}

/// Whether git could have a branch, a tag or a commit of this name; the cache has a file of this name, too.
fn is_revision(name: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let forbidden = |character: char| character.is_control() || " ~^:?*[\\".contains(character);
    name.len() <= LONGEST_REVISION
        && name.split('/').all(plain)
        && !name.contains("..")
        && !name.contains("@{")
        && !name.chars().any(forbidden)
}

/// What a file is that was named in place of a directory.
fn instead_of_a_directory(path: &Path) -> String {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase()).unwrap_or_default();
    let head = if path.is_file() { file_kind::head(path).unwrap_or_default() } else { Vec::new() };
    let directory =
        format!("name the directory that holds it beside config.json and tokenizer.json: {}", folder.display());
    match (extension.as_str(), file_kind::known(&head)) {
        (_, Some(kind)) if kind == file_kind::ONNX || kind == file_kind::PICKLE => kind.to_owned(),
        ("safetensors" | "json", _) => format!("this is a file; {directory}"),
        ("onnx", _) => file_kind::ONNX.to_owned(),
        ("bin" | "pt" | "pth" | "ckpt", _) => file_kind::PICKLE.to_owned(),
        ("jsonl" | "csv" | "tsv" | "trec", _) => {
            "this is a file of data; name it with --input, and with --model a model's directory or its id on the hub"
                .to_owned()
        }
        (_, Some(kind)) if !head.is_empty() => format!("this is a file, not a model's directory: {kind}"),
        _ => "this is a file; name the directory that holds the model's files".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_directory_or_an_id() {
        let parse = |model| ModelSource::parse(model, "main", false);
        assert_eq!(parse("testdata").unwrap(), ModelSource::Directory("testdata".into()));
        let hub = |file: &str| ModelSource::Hub {
            id: "a/b".into(),
            file: Some(file.into()),
            revision: "main".into(),
            offline: false,
        };
        for file in ["Q4_K_M", "m-Q8_0.gguf", "BF16/m-00001-of-00002.gguf"] {
            let found = ModelSource::parse(&format!("a/b:{file}"), "main", false);
            assert_eq!(found.unwrap(), hub(file));
        }
        for id in ["Qwen/Qwen3-Reranker-4B", "BAAI/bge-reranker-v2-m3", "a/b_c.d"] {
            assert!(matches!(parse(id).unwrap(), ModelSource::Hub { .. }));
        }
        assert_eq!(parse("fake").unwrap(), ModelSource::Fake);
        for wrong in ["./missing", "/missing/model", "missing", "a/b/c", "Cargo.toml", "missing/"] {
            assert!(parse(wrong).unwrap_err().to_string().contains(wrong));
        }
    }

    #[test]
    fn what_was_meant_is_suggested() {
        for (model, named) in [
            ("https://huggingface.co/Qwen/Qwen3-Reranker-0.6B/tree/main", "address: Qwen/Qwen3-Reranker-0.6B"),
            ("hf.co/Qwen/Qwen3-Reranker-0.6B", "address: Qwen/Qwen3-Reranker-0.6B"),
            ("hf://Qwen/Qwen3-Reranker-0.6B", "address: Qwen/Qwen3-Reranker-0.6B"),
            ("https://example.org/model", "an address can't be read"),
            ("file:///models/qwen", "not by an address: /models/qwen"),
            ("~/models/qwen", "not in quotes"),
            ("$HOME/qwen", "not in quotes"),
            ("Qwen3-Reranker-0.6B", "such as Qwen/"),
            ("owner/name@v2", "--model owner/name --revision v2"),
            ("owner/name/sub/m.gguf", "colon: owner/name:sub/m.gguf"),
            ("models/m.gguf", "there is no such file"),
            ("owner/name:../m.gguf", "owner/name:Q4_K_M"),
            ("owner/name:", "owner/name:Q4_K_M"),
            ("owner/na me", "letters, digits"),
            ("owner/..", "letters, digits"),
            ("owner/a?b", "letters, digits"),
            ("FAKE", "`fake`"),
            (" ", "is needed"),
        ] {
            let message = ModelSource::parse(model, "main", false).unwrap_err().to_string();
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn a_revision_is_a_name_that_git_could_have() {
        for right in ["main", "v1.0", "refs/pr/1", "feature/a#b", "0123456789abcdef0123456789abcdef01234567"] {
            assert!(ModelSource::parse("owner/name", right, false).is_ok(), "{right}");
        }
        for wrong in ["", "..", "../x", "a/../b", "main/", "/main", "v 1", "a?b", "a\nb", &"x".repeat(300)] {
            let message = ModelSource::parse("owner/name", wrong, false).unwrap_err().to_string();
            assert!(message.contains("--revision") && !message.contains('\n'), "{message}");
        }
    }
}
