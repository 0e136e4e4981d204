//! What reads files of strangers: one function for each kind of file. `cargo fuzz` runs them on what it invents, and the tests on
//! changed examples. An error is a right answer; a panic, memory without bounds and a run without an end are not.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use rerank::cache::{Identity, Key, ScoreCache};
use rerank::checkpoint::{AdapterChoice, Downloads, ModelFiles, ModelSource, Weights};
use rerank::column_types::ColumnTypes;
use rerank::input::{self, InputFormat, InputOptions};
use rerank::model::Architecture;
use rerank::output::{Compression, Layout, OutputFormat};
use rerank::recipe::{Prompt, RecipeChoice, RecipeSource, TextTokenizer};
use rerank::record::Query;
use rerank::reranker::{Reranker, RerankerOptions};
use rerank::resume::{Sidecar, complete_rankings};

/// A kind of file.
pub struct Format {
    pub name: &'static str,
    pub read: fn(&[u8]),
}

pub const FORMATS: [Format; 14] = [
    Format { name: "json", read: json },
    Format { name: "tables", read: tables },
    Format { name: "runs", read: runs },
    Format { name: "collection", read: collection },
    Format { name: "compressed", read: compressed },
    Format { name: "safetensors", read: safetensors },
    Format { name: "config", read: config },
    Format { name: "tokenizer", read: tokenizer },
    Format { name: "settings", read: settings },
    Format { name: "chat_template", read: chat_template },
    Format { name: "recipe", read: recipe },
    Format { name: "sidecar", read: sidecar },
    Format { name: "output", read: output },
    Format { name: "scores", read: scores },
];

/// JSONL, and JSON with a list or with values one after the other.
pub fn json(data: &[u8]) {
    for format in [InputFormat::Jsonl, InputFormat::Json] {
        for group in [false, true] {
            read_all(data, &InputOptions { format: Some(format), group, ..InputOptions::default() });
        }
    }
}

/// CSV and TSV, with quotes and without.
pub fn tables(data: &[u8]) {
    for format in [InputFormat::Csv, InputFormat::Tsv] {
        for quotes in [Some(input::Quotes::Csv), Some(input::Quotes::None), None] {
            let tables = input::TableOptions { quotes, ..Default::default() };
            read_all(data, &InputOptions { format: Some(format), tables, ..InputOptions::default() });
        }
    }
    let columns = "query_id,id,query,text".parse().unwrap();
    read_all(data, &InputOptions { format: Some(InputFormat::Tsv), columns, ..InputOptions::default() });
}

/// Runs of TREC, MS MARCO and Tevatron, and in JSON; and records that have ids in the place of texts.
pub fn runs(data: &[u8]) {
    let texts = Place::of("runs", |place| {
        place.write("queries", "q1\ta query\nq2\tanother\n");
        place.write("collection", "d1\ta text\nd2\tanother\nd3\tone more\n");
    });
    let runs = [InputFormat::Trec, InputFormat::Msmarco, InputFormat::Tevatron, InputFormat::Scores];
    for format in runs.into_iter().chain([InputFormat::Jsonl, InputFormat::Csv]) {
        read_run(data, format, texts.join("queries"), texts.join("collection"));
    }
}

/// The queries and documents of a run: JSONL, JSON and tables.
pub fn collection(data: &[u8]) {
    let texts = Place::of("collection", |place| place.write("known", "d1\ta text\nd2\tanother\n"));
    let run = b"d1 Q0 d1 1 2.5 x\nd1 Q0 d2 2 1.5 x\nq2 Q0 d9 1 1 x\n";
    fs::write(texts.join("new"), data).unwrap();
    for (queries, collection) in [("new", "known"), ("known", "new")] {
        read_run(run, InputFormat::Trec, texts.join(queries), texts.join(collection));
    }
}

/// Any input, compressed or not, whose format is recognised by its content.
pub fn compressed(data: &[u8]) {
    read_all(data, &InputOptions::default());
}

fn read_run(data: &[u8], format: InputFormat, queries: PathBuf, collection: PathBuf) {
    let (queries, collection) = (Some(queries), Some(collection));
    read_all(data, &InputOptions { format: Some(format), queries, collection, ..InputOptions::default() });
}

fn read_all(data: &[u8], options: &InputOptions) {
    let Ok(events) = input::open_stream("input", Box::new(std::io::Cursor::new(data.to_vec())), options) else {
        return;
    };
    let mut events = events.take_while(Result::is_ok);
    while events.next().is_some() {}
}

/// Weights: the header, and the values of all tensors that the model needs.
pub fn safetensors(data: &[u8]) {
    let model = Place::of("safetensors", |place| place.link_model("testdata/odd-reranker"));
    let path = model.join("changed.safetensors");
    fs::write(&path, data).unwrap();
    let Ok(weights) = Weights::open(&[path]) else { return };
    let Ok(architecture) = Architecture::read(&model.join("config.json")) else { return };
    // A model whose tensors are not all there is refused; the values of those that are there are read in any case.
    let _ = weights.check(&architecture);
    for tensor in architecture.tensors() {
        let _ = weights.vector(tensor);
        if let Ok(rows) = weights.matrix(tensor) {
            rows.row(0, &mut vec![0.; rows.inputs()]);
        }
    }
    weights.precision();
}

/// `config.json`.
pub fn config(data: &[u8]) {
    let place = Place::of("config", |_| {});
    let path = place.join("config.json");
    fs::write(&path, data).unwrap();
    if let Ok(architecture) = Architecture::read(&path) {
        assert!(architecture.tensors().len() < 1 << 20);
        architecture.vocabulary();
    }
}

/// The tokenizer in one of its forms, which the first byte chooses.
pub fn tokenizer(data: &[u8]) {
    let Some((form, content)) = data.split_first() else { return };
    let place = Place::of("tokenizer", |_| {});
    for name in ["tokenizer.json", "vocab.txt", "vocab.json", "merges.txt", "tokenizer_config.json"] {
        let _ = fs::remove_file(place.join(name));
    }
    let mut parts = content.splitn(2, |byte| *byte == 0);
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    match form % 4 {
        1 => fs::write(place.join("vocab.txt"), first).unwrap(),
        2 => {
            fs::write(place.join("vocab.json"), first).unwrap();
            fs::write(place.join("merges.txt"), second.unwrap_or_default()).unwrap();
        }
        _ => fs::write(place.join("tokenizer.json"), first).unwrap(),
    }
    if let Some(settings) = second.filter(|_| form % 4 != 2) {
        fs::write(place.join("tokenizer_config.json"), settings).unwrap();
    }
    let Ok(tokenizer) = TextTokenizer::read(&ModelFiles::in_directory(&place)) else { return };
    let _ = tokenizer.pair_frame();
    tokenizer.warnings();
    for text in ["", "The blue whale, <|im_start|>[SEP] 12é\u{1f40b}\n\n  <s>", &"word ".repeat(100)] {
        let _ = tokenizer.encode(text);
        let _ = tokenizer.encode_up_to(text, 5);
    }
}

/// The settings in a model's directory; the first byte chooses the file.
pub fn settings(data: &[u8]) {
    const NAMES: [&str; 8] = [
        "tokenizer_config.json",
        "config_sentence_transformers.json",
        "modules.json",
        "sentence_bert_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "model.safetensors.index.json",
        "1_LogitScore/config.json",
    ];
    let Some((number, content)) = data.split_first() else { return };
    let (model, name) = (model(), NAMES[usize::from(*number) % NAMES.len()]);
    let path = model.join(name);
    let earlier = fs::read(&path).ok();
    let _ = fs::remove_file(&path);
    fs::write(&path, content).unwrap();
    find(&model);
    fs::remove_file(&path).unwrap();
    if let Some(earlier) = earlier {
        fs::write(&path, earlier).unwrap();
    }
}

/// `chat_template.jinja`.
pub fn chat_template(data: &[u8]) {
    let model = model();
    let path = model.join("chat_template.jinja");
    let _ = fs::remove_file(&path);
    fs::write(&path, data).unwrap();
    find(&model);
}

/// A recipe in TOML.
pub fn recipe(data: &[u8]) {
    let place = Place::of("recipe", |_| {});
    let path = place.join("recipe.toml");
    fs::write(&path, data).unwrap();
    let _ = RecipeSource::read(path.to_str().unwrap());
}

/// `OUTPUT.run.json`.
pub fn sidecar(data: &[u8]) {
    let place = Place::of("sidecar", |_| {});
    fs::write(place.join("out.run.json"), data).unwrap();
    let _ = Sidecar::read(&place.join("out"));
}

/// A file of a cache's scores.
pub fn scores(data: &[u8]) {
    let place =
        Place::of("scores", |place| drop(ScoreCache::of_model(place.0.path(), &Identity::default(), |_| ()).unwrap()));
    let folder = fs::read_dir(place.join("")).unwrap().next().unwrap().unwrap().path();
    fs::write(folder.join("new.scores"), data).unwrap();
    let cache = ScoreCache::of_model(&place.join(""), &Identity::default(), |_| ()).unwrap();
    for token in 0..300 {
        let _ = cache.get(Key::of(&Prompt::whole(vec![token])));
    }
    let _ = cache.damage();
    drop(cache);
    let _ = rerank::cache::prune(&place.join(""), 4500);
}

/// An output that is resumed, in any format and compression.
pub fn output(data: &[u8]) {
    let place = Place::of("output", |_| {});
    let path = place.join("out");
    fs::write(&path, data).unwrap();
    let file = File::open(&path).unwrap();
    for format in [OutputFormat::Jsonl, OutputFormat::Trec, OutputFormat::Msmarco, OutputFormat::Csv, OutputFormat::Tsv]
    {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstandard] {
            let layout =
                Layout { format, compression, text: true, tag: "rerank".to_owned(), types: ColumnTypes::default() };
            let _ = complete_rankings(&file, "out", &layout);
        }
    }
}

/// A model with a chat template and modules.
fn model() -> PathBuf {
    Place::of("model", |place| {
        place.link_model("testdata/odd-reranker");
        fs::create_dir(place.0.path().join("1_LogitScore")).unwrap();
        for name in ["chat_template.jinja", "modules.json", "config_sentence_transformers.json"] {
            place.copy(&format!("testdata/recipes/ctxl/{name}"), name);
        }
        place.copy("testdata/recipes/ctxl/1_LogitScore/config.json", "1_LogitScore/config.json");
    })
}

fn find(model: &Path) {
    let options = RerankerOptions {
        source: ModelSource::Directory(model.to_owned()),
        adapter: AdapterChoice::default(),
        recipe: RecipeChoice::default(),
        weights: true,
        on_gpu: false,
        downloads: Downloads::Silent,
    };
    let Ok(reranker) = Reranker::find(&options) else { return };
    let prompts = &reranker.recipe().prompts;
    let query = Query { text: "a query".to_owned(), ..Query::default() };
    let _ = prompts.check_query(&query);
    let _ = prompts.prompt(&query, "a document");
}

/// The project's own directory.
pub fn project() -> &'static Path {
    let start = Path::new(env!("CARGO_MANIFEST_DIR"));
    start.ancestors().find(|folder| folder.join("testdata").is_dir()).unwrap()
}

/// A directory in which the files of one kind stand; each thread has its own.
struct Place(tempfile::TempDir);

thread_local! {
    static PLACES: RefCell<HashMap<&'static str, Place>> = RefCell::default();
}

impl Place {
    fn of(name: &'static str, fill: impl FnOnce(&Self)) -> PathBuf {
        PLACES.with_borrow_mut(|places| {
            let new = || {
                let memory = Path::new("/dev/shm");
                let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
                let place = Self(tempfile::tempdir_in(folder).unwrap());
                fill(&place);
                place
            };
            places.entry(name).or_insert_with(new).0.path().to_owned()
        })
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.0.path().join(name), content).unwrap();
    }

    fn copy(&self, from: &str, name: &str) {
        fs::copy(project().join(from), self.0.path().join(name)).unwrap();
    }

    fn link_model(&self, from: &str) {
        for entry in fs::read_dir(project().join(from)).unwrap() {
            let entry = entry.unwrap();
            std::os::unix::fs::symlink(entry.path(), self.0.path().join(entry.file_name())).unwrap();
        }
    }
}
