//! Files of each kind that are read without an error, or nearly so.

use std::io::Write;
use std::path::PathBuf;

use rerank::cache::{Identity, Key, ScoreCache};
use rerank::recipe::Prompt;
use serde_json::{Value, json};

/// The examples of a kind.
pub fn examples(name: &str) -> Vec<Vec<u8>> {
    match name {
        "json" => texts(&JSON),
        "tables" => texts(&TABLES),
        "runs" => texts(&RUNS),
        "collection" => texts(&COLLECTIONS),
        "compressed" => compressed(),
        "safetensors" => safetensors(),
        "config" => configs(),
        "tokenizer" => tokenizers(),
        "settings" => settings(),
        "chat_template" => {
            let mut templates: Vec<_> = matching("testdata/recipes/*/chat_template.jinja").map(read).collect();
            templates.push(TEMPLATE.as_bytes().to_vec());
            templates
        }
        "recipe" => texts(&RECIPES),
        "sidecar" => vec![sidecar().to_string().into_bytes()],
        "output" => outputs(),
        "scores" => [1, 204, 300].map(scores).into(),
        _ => panic!("there are no examples of {name}"),
    }
}

const JSON: [&str; 7] = [
    concat!(
        r#"{"query_id":"q1","query":"a query","candidates":[{"id":"d1","text":"t","title":"T","score":1.5,"rank":1},"#,
        r#""plain",{"docid":2,"contents":"x","extra":[1]}]}"#,
        "\n",
        r#"{"query":"p","text":"t","id":1}"#,
        "\n"
    ),
    r#"[{"query":"a","passages":["x","y"],"passages_ids":["1","2"]}]"#,
    r#"{"query":{"text":"t","qid":3,"x":1},"hits":{"hits":[{"_id":"1","_source":{"text":"t"},"_score":2}]}}"#,
    r#"{"query":"q","pos":["a"],"neg":["b"],"pos_scores":[1.5]}"#,
    r#"{"query":"q","response":{"docs":[{"id":"1","text":["t"]}]}}"#,
    r#"{"query":"\ud83d","text":"\ud83d\ude00","Doc ID":"7","a":1,"a":2}"#,
    // Once read again and again, without an end, where rows are gathered.
    r#"{"query":"!q","response"::[{"id":"1","text":["t"]}]}}"#,
];

const TABLES: [&str; 4] = [
    "query_id,id,query,text,score,rank,extra\nq1,d1,\"a \"\"q\"\"\",\"t, x\",1.5,1,e\nq1,d2,a,\"line\nbreak\",,2,\n",
    "qid\tdocid\tquery\ttext\n1\t2\ta \"q\" b\tt\n1\t3\ta\t\\N\n",
    "sep=;\nquery;text;title\na;b;c\n",
    "\"query\" , \"text\"\n\"a\" ,\"b\"\n",
];

const RUNS: [&str; 3] = [
    "q1 Q0 d1 1 2.5 run\nq1 Q0 d2 2 1.5 run\nq2 Q0 d3 1 1 run\nq1 Q0 d3 3 1 run\n",
    "q1\td1\t1\nq1\td2\t2\n",
    "q1\td1\t12.5\n",
];

const COLLECTIONS: [&str; 4] = [
    "{\"_id\":\"d1\",\"title\":\"T\",\"text\":\"t\"}\n{\"_id\":\"q2\",\"text\":\"x\"}\n",
    "d1\ta text\td\nq2\tb\tc\n",
    "[{\"_id\":\"d1\",\"text\":\"t\"},\n{\"_id\":\"d9\",\"text\":\"\"}]",
    "id,title,text\nd1,\"a \"\"b\"\"\",\"c\nd\"\n",
];

const TEMPLATE: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m['content']|trim }}<|im_end|>\n{% endfor %}\
    {{ messages|tojson(indent=2) }}{% set ns = namespace(x=1) %}{% macro f(a) %}{{ a }}{% endmacro %}{{ f(1) ~ 'x' * 3 }}\
    {{ '%s' % 1 }}{{ range(3)|list }}";

const RECIPES: [&str; 2] = [
    "name = \"x\"\ntemplate = \"{instruction} {query|trim} {document}\"\ninstruction = \"i\"\nspecial_tokens = true\n\
     head = \"classifier\"\nactivation = \"sigmoid\"\ntemperature = 2.0\n",
    "template = \"\"\"<|im_start|>{query} {{ {document}\"\"\"\ntemplate_without_instruction = \"{query}{document}\"\n\
     answers = { true = \"yes\", false = \"no\" }\ncut = \"document\"\n",
];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn read(path: PathBuf) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

/// The files whose paths match; a star stands for a whole name.
fn matching(pattern: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let mut paths = vec![PathBuf::new()];
    for part in pattern.split('/') {
        paths = paths
            .into_iter()
            .flat_map(|folder| match part {
                "*" => {
                    let entries = std::fs::read_dir(&folder).into_iter().flatten();
                    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
                    entries.sort();
                    entries
                }
                _ => vec![folder.join(part)],
            })
            .collect();
    }
    paths.into_iter().filter(|path| path.is_file())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn compressed() -> Vec<Vec<u8>> {
    let mut examples = [texts(&JSON), texts(&TABLES)].concat();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    xz.write_all(JSON[0].as_bytes()).unwrap();
    examples.push(xz.finish().unwrap());
    for text in [JSON[0], TABLES[1]] {
        examples.push([gzip(text.as_bytes()), gzip(b"\n")].concat());
        examples.push(zstd::encode_all(text.as_bytes(), 3).unwrap());
    }
    examples
}

fn safetensors() -> Vec<Vec<u8>> {
    let header = json!({
        "model.norm.weight": {"dtype": "F32", "shape": [64], "data_offsets": [0, 256]},
        "lm_head.weight": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [256, 264]},
    });
    let header = header.to_string().into_bytes();
    vec![[&(header.len() as u64).to_le_bytes(), &header[..], &[0; 264]].concat()]
}

fn configs() -> Vec<Vec<u8>> {
    let config = |path| {
        let family: Value = serde_json::from_slice(&read(path)).unwrap();
        family["config"].to_string().into_bytes()
    };
    let own = matching("testdata/odd-reranker/config.json").map(read);
    matching("testdata/families/*").map(config).chain(own).collect()
}

fn tokenizers() -> Vec<Vec<u8>> {
    let whole = |path: PathBuf| {
        let settings = read(path.with_file_name("tokenizer_config.json"));
        [b"\0", &read(path)[..], b"\0", &settings].concat()
    };
    let mut examples: Vec<_> = matching("testdata/tokenizers/*/tokenizer.json").map(whole).collect();
    // Its normalizer's table states a size of 4 GiB, for which 8 GiB were once asked.
    let field = b"\"precompiled_charsmap\":\"".as_slice();
    let damaged = examples.iter().find_map(|example| {
        let at = field.len() + example.windows(field.len()).position(|bytes| bytes == field)?;
        Some([&example[..at], b"////", &example[at + 4..]].concat())
    });
    examples.push(damaged.unwrap());
    examples
        .push(b"\x01[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\n##s\nblue\n\0{\"tokenizer_class\":\"BertTokenizer\"}".to_vec());
    examples.push(b"\x02{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3}\0#version: 0.2\na b\n".to_vec());
    examples
}

fn settings() -> Vec<Vec<u8>> {
    let names = [
        "*/tokenizer_config.json",
        "*/config_sentence_transformers.json",
        "*/modules.json",
        "*/sentence_bert_config.json",
        "*/special_tokens_map.json",
        "*/added_tokens.json",
        "*/model.safetensors.index.json",
        "*/1_LogitScore/config.json",
    ];
    let mut examples = vec![
        b"\x04{\"eos_token\":\"</s>\",\"pad_token\":{\"content\":\"<pad>\"}}".to_vec(),
        b"\x05{\"<x>\":300}".to_vec(),
    ];
    for (number, name) in names.iter().enumerate() {
        let files = matching(&format!("testdata/recipes/{name}")).chain(matching(&format!("testdata/{name}")));
        examples.extend(files.map(|path| [&[number as u8], &read(path)[..]].concat()));
    }
    examples
}

/// A cache's file with so many scores.
fn scores(count: u32) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let cache = ScoreCache::of_model(directory.path(), &Identity::default(), |_| ()).unwrap();
    (0..count).for_each(|token| cache.insert(Key::of(&Prompt::whole(vec![token])), token as f32));
    cache.finish().unwrap();
    let folder = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
    let mut files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    read(files.find(|path| path.extension().is_some_and(|extension| extension == "scores")).unwrap())
}

fn sidecar() -> Value {
    json!({
        "form": "rerank run 1",
        "settings": {"--top-k": 5, "the input": {"file": {"bytes": 1, "first": "a", "last": "b"}}},
        "about": {"model": "x"},
        "complete": {"bytes": 1, "queries": 1, "skipped": 0},
    })
}

fn outputs() -> Vec<Vec<u8>> {
    let columns = "query_id,query,rank,id,score,logit,original_rank,original_score,truncated,text";
    let csv = format!("{columns},url\nq1,q,1,d,1,1,1,,false,\"a\nb\",u\nq2,q,1,d,1,1,1,,false,a,u\n");
    let plain = [
        "{\"query_id\":\"q1\",\"query\":\"q\",\"results\":[]}\n{\"query_id\":\"q\\n2\",\"results\":[]}\n",
        "q1 Q0 d1 1 2.5 rerank\nq2 Q0 d1 1 2 rerank\n",
        "q1\td1\t1\nq2\td1\t1\n",
        &csv,
        &csv.replace(',', "\t"),
    ];
    let plain = texts(&plain);
    let twice = |packed: Vec<u8>| packed.repeat(2);
    let gzips = plain.iter().map(|text| twice(gzip(text)));
    let frames = plain.iter().map(|text| twice(zstd::encode_all(&text[..], 3).unwrap()));
    let packed: Vec<_> = gzips.chain(frames).collect();
    [plain, packed].concat()
}
