//! Recognises the content of a directory or a repository that is not a model which rerank can read.

use super::conversion::Conversion;
use super::modules::MODULES;

/// The files that a model has.
const NEEDED: &str = "a model's directory holds config.json, tokenizer.json and model.safetensors (or its shards with \
     model.safetensors.index.json), or a GGUF file";

/// Weights in forms that are not read: how their names end, what they are, and what to do.
const OTHER_WEIGHTS: [(&[&str], &str, Remedy); 10] = [
    (&[".gguf"], "in GGUF", Remedy::NameFile),
    (&[".ggml"], "in the format that llama.cpp had before GGUF", Remedy::TakeSource),
    (&[".onnx", ".onnx_data"], "ONNX files, which are for ONNX Runtime", Remedy::TakeSource),
    // What OpenVINO calls .bin stands before what PyTorch calls so.
    (&["openvino_model.xml", "openvino_model.bin"], "OpenVINO files", Remedy::TakeSource),
    (&[".bin", ".pt", ".pth", ".ckpt", ".pkl"], PICKLES, Remedy::ConvertPickle),
    (&[".h5"], "files of TensorFlow", Remedy::Convert(", from_tf=True")),
    (&[".msgpack"], "files of Flax", Remedy::Convert(", from_flax=True")),
    (&[".keras", "saved_model.pb"], "files of TensorFlow", Remedy::TakeSource),
    (&[".tflite", ".mlmodel", ".mlpackage", ".engine", ".plan"], "files of another runtime", Remedy::TakeSource),
    (&[".ot", ".npz", ".llamafile"], "in a format that rerank does not read", Remedy::TakeSafetensors),
];

const PICKLES: &str = "PyTorch checkpoints in Python's pickle format, which can run any program while they are read";

/// What to do with weights in another form.
enum Remedy {
    /// They are read if they are named.
    NameFile,
    /// The model that they were made from is needed.
    TakeSource,
    /// The model is needed in another form.
    TakeSafetensors,
    /// Transformers 4 reads them, with this argument.
    Convert(&'static str),
    /// Transformers reads them under the names that it gives them.
    ConvertPickle,
}

const DATA: [&str; 8] =
    [".parquet", ".arrow", "dataset_info.json", "dataset_infos.json", ".jsonl", ".csv", ".tsv", ".trec"];

/// The reason why files of these names do not have `missing`, and the remedy: the end of a sentence that begins with the
/// directory's name.
pub(super) fn without(missing: &str, names: &[String], conversion: &Conversion) -> String {
    if let Some((folder, _)) = missing.rsplit_once('/') {
        return without_in_folder((missing, folder), names, conversion);
    }
    let has = |name: &str| names.iter().any(|other| other == name);
    if names.is_empty() {
        return format!("has no {missing}: it is empty; {NEEDED}");
    }
    if let Some(snapshot) = names.iter().find(|name| name.starts_with("snapshots/") && name.ends_with("/config.json")) {
        let folder = snapshot.trim_end_matches("/config.json");
        return format!("has no {missing}: it is the hub's cache of a model; name its directory {folder}");
    }
    let unfinished = |name: &&String| {
        name.strip_prefix(missing).is_some_and(|rest| rest.starts_with('.') && !rest.starts_with(".index"))
    };
    if let Some(other) = names.iter().find(unfinished) {
        return format!(
            "has no {missing}, only {other}: finish its download, or unpack it, and give it the usual name"
        );
    }
    if let Some(reason) = without_weights(missing, names, conversion).filter(|_| missing.ends_with(".safetensors")) {
        return reason;
    }
    if missing == "tokenizer.json" && has("config.json") {
        let other = ["vocab.txt", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model"];
        return match other.iter().find(|name| has(name)) {
            Some(other) => format!("has no tokenizer.json, only {other}, an older form; {}", conversion.tokenizer()),
            None if has("vocab.json") => "has no tokenizer.json, only vocab.json, which needs the merges.txt beside it: copy one of them \
                 from the model that this one was made from"
                .to_owned(),
            None => "has no tokenizer.json: copy it from the model that this one was made from (or an older form that rerank \
                 reads, too: BERT's vocab.txt, or vocab.json with merges.txt)"
                .to_owned(),
        };
    }
    if missing == "config.json" {
        // The modules of sentence-transformers have files of this name, too.
        let has_modules = names.iter().any(|name| name == "modules.json");
        if let Some(folder) = names.iter().find_map(|name| name.strip_suffix("/config.json")).filter(|_| !has_modules) {
            return format!("has no config.json, but its directory {folder} has one; name that");
        }
        if let Some(reason) = in_another_form(missing, names, conversion) {
            return reason;
        }
        let data = names.iter().find(|name| DATA.iter().any(|ending| name.ends_with(ending)));
        if let Some(data) = data.filter(|_| !names.iter().any(|name| name.ends_with(".safetensors"))) {
            return format!("has no config.json: it holds data ({data}) and no model; data is named with --input");
        }
    }
    format!("has no {missing}; {NEEDED}")
}

/// The same of a file in a folder of a module.
fn without_in_folder((missing, folder): (&str, &str), names: &[String], conversion: &Conversion) -> String {
    let inner: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(folder)?.strip_prefix('/')).collect();
    let pickled = inner.iter().find(|name| [".bin", ".pt", ".pth"].iter().any(|ending| name.ends_with(ending)));
    match (inner.first(), pickled.filter(|_| missing.ends_with(".safetensors"))) {
        (None, _) => format!("has no {missing}, and no folder {folder}; download the whole model"),
        (_, Some(pickled)) => {
            format!("has no {missing}; its weights ({folder}/{pickled}) are {PICKLES}; {}", conversion.modules())
        }
        (Some(first), None) => format!("has no {missing}, only {first} and the like there; download the whole model"),
    }
}

fn without_weights(missing: &str, names: &[String], conversion: &Conversion) -> Option<String> {
    let top: Vec<&String> = names.iter().filter(|name| !name.contains('/')).collect();
    let tensors: Vec<&str> =
        top.iter().map(|name| name.as_str()).filter(|name| name.ends_with(".safetensors")).collect();
    if let Some(other) = tensors.first() {
        let shards = tensors.iter().any(|name| name.contains("-of-"));
        return Some(if shards {
            format!(
                "has no {missing}; its shards ({other}) need model.safetensors.index.json, which lists what is in them: download that too"
            )
        } else {
            format!(
                "has no {missing}, but {}; give the weights the usual name if they are the model's",
                tensors.join(", ")
            )
        });
    }
    in_another_form(missing, names, conversion)
}

fn in_another_form(missing: &str, names: &[String], conversion: &Conversion) -> Option<String> {
    // Trainers and tokenizers leave files behind whose names end like those of weights.
    let aside = ["training_args.bin", "optimizer.pt", "scheduler.pt", "rng_state.pth", "scaler.pt"];
    let weights = || names.iter().filter(|name| !aside.iter().any(|other| name.ends_with(other)));
    let has_modules = names.iter().any(|name| name == MODULES);
    OTHER_WEIGHTS.iter().find_map(|(endings, what, remedy)| {
        let found = weights().find(|name| endings.iter().any(|ending| name.ends_with(ending)))?;
        let is_known = found.starts_with("pytorch_model") && found.ends_with(".bin");
        let remedy = match remedy {
            Remedy::NameFile => format!("name the file itself: --model {}", conversion.file(found)),
            Remedy::TakeSource => "take the model that they were made from".to_owned(),
            Remedy::TakeSafetensors => "take the model as safetensors".to_owned(),
            Remedy::Convert(argument) => format!("{}, with a version 4 of it", conversion.weights(argument)),
            Remedy::ConvertPickle if has_modules => conversion.modules(),
            Remedy::ConvertPickle if is_known => conversion.weights(""),
            Remedy::ConvertPickle => {
                "load the model by the program that has written them, and write it as safetensors, as \
                 save_pretrained() of transformers does"
                    .to_owned()
            }
        };
        Some(format!("has no {missing}; its weights ({found}) are {what}; {remedy}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_instead_is_named() {
        for (missing, names, named) in [
            ("model.safetensors", vec!["config.json", "tokenizer.json", "pytorch_model.bin"], "pickle"),
            ("model.safetensors", vec!["config.json", "training_args.bin"], "a model's directory holds"),
            ("model.safetensors", vec!["config.json", "onnx/model_int8.onnx"], "ONNX"),
            ("model.safetensors", vec!["config.json", "openvino/openvino_model.bin"], "OpenVINO"),
            ("model.safetensors", vec!["config.json", "tf_model.h5"], "TensorFlow"),
            ("model.safetensors", vec!["config.json", "model-00001-of-00002.safetensors"], "index.json"),
            ("model.safetensors", vec!["config.json", "consolidated.safetensors"], "consolidated"),
            ("model.safetensors", vec!["config.json", "model.safetensors.part"], "only model.safetensors.part"),
            ("model.safetensors", vec!["config.json", "model.safetensors.index.json.gz"], "a model's directory"),
            ("config.json", vec!["Q8_0/model.gguf"], "--model m/Q8_0/model.gguf"),
            ("config.json", vec!["model.ggml"], "before GGUF"),
            ("config.json", vec!["data/train.parquet", "README.md"], "--input"),
            ("config.json", vec!["checkpoint-500/config.json"], "checkpoint-500"),
            ("config.json", vec!["snapshots/abc/config.json", "refs/main"], "snapshots/abc"),
            ("tokenizer.json", vec!["config.json", "spiece.model"], "AutoTokenizer"),
            ("tokenizer.json", vec!["config.json", "vocab.json"], "merges.txt"),
            ("tokenizer.json", vec!["config.json"], "BERT's vocab.txt"),
            ("config.json", vec![], "empty"),
            ("2_Dense/model.safetensors", vec!["2_Dense/pytorch_model.bin"], "CrossEncoder(\"m\")"),
            ("2_Dense/model.safetensors", vec!["2_Dense/config.json"], "only config.json"),
            ("2_Dense/model.safetensors", vec!["config.json"], "no folder 2_Dense"),
        ] {
            let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
            let reason = without(missing, &names, &Conversion::new("m", None));
            assert!(reason.contains(named), "{missing} among {names:?}: {reason}");
        }
    }
}
