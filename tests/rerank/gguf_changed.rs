//! GGUF files with other heads, prompts and parts, and damaged ones.

use serde_json::Value;

use crate::fake_hub;
use crate::fixture::{Files, Run, rerank};
use crate::gguf::{Model, logits};
use crate::gguf_file::{GgufFile, count, text, texts};

const LABELS: &str = "qwen3.classifier.output_labels";
const ROWS: &str = "cls.output.weight";
const PROMPT: &str = "tokenizer.chat_template.rerank";

/// A test model's file with changes, in a directory with its tokenizer, and pairs for it.
struct Changed {
    files: Files,
    model: String,
    input: String,
}

impl Changed {
    fn new(name: &str, change: impl FnOnce(&mut GgufFile)) -> Self {
        let (files, model) = (Files::new(), Model::read(name));
        let (folder, input) = (model.write(&files, "model", name, "m.gguf"), model.input(&files));
        let path = format!("{folder}/m.gguf");
        let mut file = GgufFile::read(&path);
        change(&mut file);
        file.write(&path);
        Self { files, model: path, input }
    }

    fn run(&self, options: &[&str]) -> Run {
        let usual = ["--model", &self.model, "--input", &self.input, "--dtype", "f32", "--no-text", "--top-k", "1"];
        rerank(&[&usual, options].concat())
    }
}

fn scored(name: &str, options: &[&str], change: impl FnOnce(&mut GgufFile)) -> Vec<f64> {
    logits(&Changed::new(name, change).run(options))
}

#[track_caller]
fn refused(name: &str, parts: &[&str], change: impl FnOnce(&mut GgufFile)) {
    // A language model without a prompt of its own.
    let options: &[&str] = if name == "qwen2" { &["--recipe", "mxbai-rerank-v2"] } else { &[] };
    let changed = Changed::new(name, change);
    let run = changed.run(options);
    run.fails(1, parts);
    assert_eq!(run.stderr.matches(&changed.model).count(), 1, "{}", run.stderr);
}

#[test]
fn labels_name_the_rows_of_answers() {
    let usual = scored("qwen3-mixed", &[], |_| {});
    let negated: Vec<f64> = usual.iter().map(|logit| -logit).collect();
    assert_eq!(scored("qwen3-mixed", &[], |file| file.set(LABELS, texts(&["no", "yes"]))), negated);
    refused("qwen3-mixed", &[LABELS, "[\"good\", \"bad\"]"], |file| file.set(LABELS, texts(&["good", "bad"])));
    refused("qwen3-mixed", &[LABELS, "list of texts"], |file| file.set(LABELS, count(2)));
    // llama.cpp takes the first row in any case.
    let changed = Changed::new("qwen3-mixed", |file| file.remove(LABELS));
    let run = changed.run(&[]);
    assert_eq!(logits(&run), usual);
    assert!(run.stderr.contains(LABELS), "{}", run.stderr);
    // Rows of yes and no are no others.
    changed.run(&["--recipe", "ctxl-rerank-v2"]).fails(1, &["yes and no alone", "ctxl-rerank-v2"]);
}

#[test]
fn one_row_is_a_classifier_and_none_leaves_the_vocabulary() {
    let usual = scored("qwen3-vocabulary", &[], |_| {});
    let classifier = scored("qwen3-vocabulary", &[], |file| {
        file.tensor("output.weight").name = "unused".to_owned();
        let mut row = file.tensor("unused").clone();
        // The head's rows in Q8_0: 64 values are two blocks of 34 bytes.
        let rows: Vec<Vec<u8>> = row.bytes.chunks(68).map(<[u8]>::to_vec).collect();
        (row.name, row.shape, row.bytes) = (ROWS.to_owned(), vec![64, 1], rows[344].clone());
        file.remove_tensor("unused");
        file.tensors.push(row);
    });
    assert_ne!(classifier, usual);
    // An embedding model has no head, whatever its tokens.
    refused("qwen3-vocabulary", &["embedding model", "qwen3.pooling_type is 3 (last)"], |file| {
        file.set("qwen3.pooling_type", count(3));
    });
}

#[test]
fn heads_that_conversions_leave_out_are_missed() {
    refused("xlm-roberta", &["no head that scores"], |file| {
        ["cls.weight", "cls.bias", ROWS, "cls.output.bias"].iter().for_each(|name| file.remove_tensor(name));
    });
    refused("xlm-roberta", &["pooler.dense", "conversion to GGUF leaves out"], |file| {
        file.set("tokenizer.ggml.model", text("bert"));
        ["cls.weight", "cls.bias"].iter().for_each(|name| file.remove_tensor(name));
    });
    refused("xlm-roberta", &["2 labels (good, bad)"], |file| {
        file.set("bert.classifier.output_labels", texts(&["good", "bad"]));
    });
}

#[test]
fn pooling_of_a_classifier_is_obeyed() {
    let pooled = |kind| scored("modernbert", &[], |file| file.set("modern-bert.classifier.pooling_type", count(kind)));
    assert_eq!(pooled(1), scored("modernbert", &[], |_| {}));
    assert_ne!(pooled(1), pooled(2));
}

#[test]
fn the_file_has_the_prompt() {
    let template = |file: &GgufFile| {
        let (_, value) = file.metadata.iter().find(|(name, _)| name == PROMPT).unwrap();
        String::from_utf8(value[12..].to_vec()).unwrap()
    };
    let instruction = "Given a web search query, retrieve relevant passages that answer the query";
    let with = |changed: &str, by: &str, options: &[&str]| {
        let changed = Changed::new("qwen3-mixed", |file| {
            let text_of_file = template(file).replace(changed, by);
            file.set(PROMPT, text(&text_of_file));
        });
        let run = changed.run(options);
        (logits(&run), run.stderr)
    };
    let usual = with("", "", &[]);
    assert!(!usual.1.contains(PROMPT), "{}", usual.1);
    // Another instruction is the default of the usual recipe.
    let own = with(instruction, "Find it", &[]);
    assert_eq!(own.0, with("", "", &["--instruction", "Find it"]).0);
    assert_eq!(with(instruction, "Find it", &["--instruction", instruction]).0, usual.0);
    // Another prompt is used as it is, and that is reported.
    let other = with("<Query>: ", "Query: ", &[]);
    assert_ne!(other.0, usual.0);
    assert!(other.1.contains("differs from the prompt of Qwen3-Reranker"), "{}", other.1);
    assert_eq!(with("<Query>: ", "Query: ", &["--recipe", "qwen3-reranker"]).0, usual.0);
    refused("qwen3-mixed", &[PROMPT, "no place for the document"], |file| file.set(PROMPT, text("{query}")));
}

#[test]
fn parts_are_one_model() {
    let changed = Changed::new("qwen2", |_| {});
    let options = ["--recipe", "mxbai-rerank-v2"];
    let whole = changed.run(&options).stdout;
    let file = GgufFile::read(&changed.model);
    let part = |number: usize| {
        let mut part = file.clone();
        part.tensors = file.tensors.iter().skip(number).step_by(2).cloned().collect();
        part.set("split.no", count(number as u32));
        part.set("split.count", count(2));
        part.set("split.tensors.count", count(file.tensors.len() as u32));
        part.write(changed.files.path(&format!("model/m-0000{}-of-00002.gguf", number + 1)));
    };
    std::fs::remove_file(&changed.model).unwrap();
    (0..2).for_each(part);
    let folder = changed.files.name("model");
    for name in [folder.clone(), format!("{folder}/m-00001-of-00002.gguf"), format!("{folder}/m-00002-of-00002.gguf")] {
        let run = rerank(
            &[&["--model", &name, "--input", &changed.input, "--dtype", "f32", "--no-text"], &options[..]].concat(),
        );
        assert_eq!(run.stdout, whole, "{}", run.stderr);
    }
    std::fs::copy(format!("{folder}/m-00001-of-00002.gguf"), format!("{folder}/m-00002-of-00002.gguf")).unwrap();
    rerank(&["--model", &folder, "--input", &changed.input]).fails(1, &["00002.gguf", "split.no is 0"]);
    std::fs::remove_file(format!("{folder}/m-00002-of-00002.gguf")).unwrap();
    rerank(&["--model", &folder, "--input", &changed.input])
        .fails(1, &["has no m-00002-of-00002.gguf", "1 of the 2 parts of the model are missing"]);
}

#[test]
fn labels_of_two_rows_need_two() {
    refused("qwen3-mixed", &["cls.output.weight has one row", LABELS, "2 labels"], |file| {
        file.tensor(ROWS).shape.truncate(1);
    });
}

#[test]
fn metadata_of_many_lists_take_bounded_memory() {
    const ELEMENTS: u64 = 1 << 22;
    // A list of bytes, each of which becomes a whole number.
    let list = || {
        [&9u32.to_le_bytes()[..], &0u32.to_le_bytes(), &ELEMENTS.to_le_bytes(), &vec![7; ELEMENTS as usize]].concat()
    };
    refused("qwen3-mixed", &["more than 256 MiB", "general.list"], |file| {
        (0..9).for_each(|index| file.set(&format!("general.list{index}"), list()));
    });
}

#[test]
fn a_factor_alone_scales_rotary_embeddings_linearly() {
    let with = |kind: Option<&str>, factor: &str| {
        scored("qwen3-mixed", &[], |file| {
            kind.iter().for_each(|kind| file.set("qwen3.rope.scaling.type", text(kind)));
            file.set(&format!("qwen3.rope.{factor}"), count(4));
        })
    };
    let linear = with(Some("linear"), "scaling.factor");
    assert_eq!(with(None, "scaling.factor"), linear);
    assert_eq!(with(None, "scale_linear"), linear);
    let usual = scored("qwen3-mixed", &[], |_| {});
    assert_eq!(with(Some("none"), "scaling.factor"), usual);
    assert_ne!(linear, usual);
}

#[test]
fn what_is_wrong_is_named_with_its_tensor_or_its_name() {
    type Change = fn(&mut GgufFile);
    let cases: [(&[&str], Change); 19] = [
        (&["architecture is gpt2", "qwen3"], |file| file.set("general.architecture", text("gpt2"))),
        (&["general.architecture is a whole number"], |file| file.set("general.architecture", count(3))),
        (&["has no general.architecture"], |file| file.remove("general.architecture")),
        (&["has no qwen2.block_count"], |file| file.remove("qwen2.block_count")),
        (&["qwen2.block_count is a text"], |file| file.set("qwen2.block_count", text("2"))),
        (&["blk.2.attn_norm.weight is missing"], |file| file.set("qwen2.block_count", count(3))),
        (&["not part of the model", "blk.1.attn_k.bias, blk.1."], |file| file.set("qwen2.block_count", count(1))),
        (&["qwen2.block_count is 4000000000"], |file| file.set("qwen2.block_count", count(4_000_000_000))),
        (&["blk.0.attn_q.weight has shape [64, 64]", "[32, 64]"], |file| {
            file.set("qwen2.attention.key_length", count(16));
        }),
        (&["qwen2.context_length is 4000000000"], |file| file.set("qwen2.context_length", count(4_000_000_000))),
        (&["tensor output_norm.weight is missing", "blk.0."], |file| file.remove_tensor("output_norm.weight")),
        (&["rope scaling `yarn`"], |file| file.set("qwen2.rope.scaling.type", text("yarn"))),
        (&["general.type is adapter", "--adapter"], |file| file.set("general.type", text("adapter"))),
        (&["general.quantization_version is 1"], |file| file.set("general.quantization_version", count(1))),
        (&["general.alignment is 3"], |file| file.set("general.alignment", count(3))),
        (&["qwen2.expert_count is set"], |file| file.set("qwen2.expert_count", count(8))),
        (&["tensor blk.0.ffn_up.weight", "type IQ2_XXS", "Q4_K_M"], |file| {
            file.tensor("blk.0.ffn_up.weight").kind = 16
        }),
        (&["tensor blk.0.ffn_up.weight", "whole blocks", "Q6_K have 256"], |file| {
            file.tensor("blk.0.ffn_up.weight").kind = 14;
        }),
        (&["tensor token_embd.weight", "should end at", "download it again"], |file| {
            file.tensor("token_embd.weight").shape[1] = 1 << 40;
        }),
    ];
    for (parts, change) in cases {
        refused("qwen2", parts, change);
    }
    let unknown = Changed::new("qwen2", |file| file.set("qwen2.novel_gate", count(1)));
    let run = unknown.run(&["--recipe", "mxbai-rerank-v2"]);
    assert!(run.status == 0 && run.stderr.contains("novel_gate"), "{}", run.stderr);
}

#[test]
fn a_context_without_room_is_named_by_the_metadata() {
    let changed = Changed::new("qwen3-mixed", |file| file.set("qwen3.context_length", count(20)));
    changed.run(&[]).fails(1, &["context_length of the GGUF file's metadata allows 20 tokens"]);
}

#[test]
fn announced_sizes_are_checked_before_memory_is_taken() {
    let huge = u64::MAX.to_le_bytes();
    let list = |kind: u32, count: u64| [&9_u32.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes()].concat();
    let of_text = [&8_u32.to_le_bytes()[..], &huge].concat();
    let cases: [(&[&str], Vec<u8>); 5] = [
        (&["metadata's odd", "elements", "have room for"], list(0, 1 << 40)),
        (&["metadata's odd", "a text of 18446744073709551615 bytes"], of_text),
        (&["metadata's odd", "list of lists"], list(9, 1)),
        (&["metadata's odd", "number 13"], 13_u32.to_le_bytes().to_vec()),
        (&["metadata's odd", "truth value is 7"], [&7_u32.to_le_bytes()[..], &[7]].concat()),
    ];
    for (parts, value) in cases {
        refused("qwen2", parts, |file| file.set("odd", value));
    }
    refused("qwen2", &["metadata has general.name twice"], |file| {
        file.metadata.push(("general.name".to_owned(), text("again")));
    });
    for (start, content, part) in [
        (4, &1_u32.to_le_bytes()[..], "version 1 of the format"),
        (4, &3_u32.to_be_bytes()[..], "big-endian"),
        (4, &9_u32.to_le_bytes()[..], "version 9"),
        (8, &huge, "tensors"),
        (16, &huge, "names of metadata"),
    ] {
        let changed = Changed::new("qwen2", |_| {});
        let mut bytes = std::fs::read(&changed.model).unwrap();
        bytes[start..start + content.len()].copy_from_slice(content);
        std::fs::write(&changed.model, bytes).unwrap();
        changed.run(&[]).fails(1, &["m.gguf", part]);
    }
    let changed = Changed::new("qwen2", |_| {});
    let bytes = std::fs::read(&changed.model).unwrap();
    for length in [0, 3, 7, 20, 100, 1000, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&changed.model, &bytes[..length]).unwrap();
        let run = changed.run(&[]);
        run.fails(1, &["m.gguf"]);
        assert!(!run.stderr.contains("panic"), "{}", run.stderr);
    }
}

#[test]
fn a_file_of_a_repository_is_named_behind_a_colon() {
    let (files, model) = (Files::new(), Model::read("qwen3-mixed"));
    let folder = model.write(&files, "model", "qwen3-mixed", "Test-Q4_K_M.gguf");
    let hub = fake_hub::Hub::of_directory(folder.clone().into());
    let local = rerank(&["--model", &folder, "--input", "testdata/candidates.jsonl", "--no-text"]);
    let run = |model: &str, options: &[&str]| {
        let arguments = ["--model", model, "--no-text"];
        fake_hub::run(&files, &hub.endpoint(), &[], &[&arguments, options].concat())
    };
    for model in ["owner/odd", "owner/odd:Test-Q4_K_M.gguf", "owner/odd:q4_k_m"] {
        assert_eq!(run(model, &[]).stdout, local.stdout, "{model}");
        assert_eq!(run(model, &["--offline"]).stdout, local.stdout, "{model}, offline");
    }
    run("owner/odd:Q8_0", &[]).fails(1, &["no GGUF file of Q8_0", "Test-Q4_K_M.gguf"]);
    run("owner/odd:other.gguf", &[]).fails(1, &["owner/odd", "other.gguf"]);
    run("owner/odd:../m.gguf", &[]).fails(2, &["owner/name:Q4_K_M"]);
}

#[test]
fn a_file_in_a_local_directory_is_named_by_its_path() {
    let files = Files::new();
    let folder = files.name("models");
    std::fs::create_dir(&folder).unwrap();
    for name in ["a-Q4_K_M.gguf", "a-Q8_0.gguf"] {
        files.write(&format!("models/{name}"), "GGUF");
    }
    for (quantization, named) in [("q8_0", vec!["a-Q8_0.gguf"]), ("Q5_0", vec!["a-Q4_K_M.gguf", "a-Q8_0.gguf"])] {
        let paths: Vec<String> = named.iter().map(|name| format!("--model {folder}/{name}")).collect();
        let message = format!(
            "{folder} is a local directory, and a GGUF file in one is named by its path: {}",
            paths.join(" or ")
        );
        rerank(&["testdata/candidates.jsonl", "--model", &format!("{folder}:{quantization}")]).fails(2, &[&message]);
    }
}

#[test]
fn a_dry_run_reads_what_stands_before_the_tensors_of_a_file_on_the_hub() {
    for (padding, last_request) in [(0, "bytes=0-262143"), (300_000, "bytes=262144-")] {
        let (files, model) = (Files::new(), Model::read("qwen3-mixed"));
        let folder = model.write(&files, "model", "qwen3-mixed", "Test-Q4_K_M.gguf");
        let mut file = GgufFile::read(&format!("{folder}/Test-Q4_K_M.gguf"));
        file.set("general.description", text(&"x".repeat(padding)));
        file.write(format!("{folder}/Test-Q4_K_M.gguf"));
        let hub = fake_hub::Hub::of_directory(folder.clone().into());
        let dry = |model: &str| {
            let run = fake_hub::run(&files, &hub.endpoint(), &[], &["--model", model, "--dry-run", "--dtype", "f32"]);
            assert_eq!(run.status, 0, "{}", run.stderr);
            run
        };
        let (of_hub, local) = (dry("owner/odd"), dry(&folder));
        let costs = |run: &Run| -> Vec<String> {
            run.stdout.lines().filter(|line| !line.starts_with("time")).map(str::to_owned).collect()
        };
        assert_eq!(costs(&of_hub), costs(&local));
        assert!(of_hub.stdout.contains("Q6_K 27.1%"), "{}", of_hub.stdout);
        let said = "reading the metadata of Test-Q4_K_M.gguf of owner/odd, which has ";
        assert!(of_hub.stderr.contains(said), "{}", of_hub.stderr);
        let requests = hub.requests();
        let last = requests.iter().rfind(|request| request.contains("Test-Q4_K_M.gguf ")).unwrap();
        assert!(last.to_lowercase().contains(last_request), "{last}");
    }
}

#[test]
fn a_run_is_resumed_by_its_own_file_only() {
    let changed = Changed::new("qwen3-mixed", |_| {});
    let output = changed.files.name("ranked.jsonl");
    let run = || changed.run(&["--output", &output, "--resume"]);
    assert_eq!(run().status, 0);
    assert!(run().stderr.contains("complete"), "{}", run().stderr);
    let mut file = GgufFile::read(&changed.model);
    file.tensor("blk.1.ffn_gate.weight").bytes[5] ^= 1;
    file.write(&changed.model);
    run().fails(2, &["cannot resume", "the model (the hash of its files)"]);
    let stats: Value = serde_json::from_str(&{
        let path = changed.files.name("stats.json");
        changed.run(&["--stats", &path]);
        std::fs::read_to_string(path).unwrap()
    })
    .unwrap();
    assert!(stats.to_string().contains("Q4_K"), "{stats}");
}
