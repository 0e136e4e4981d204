//! Quantized checkpoints in safetensors: dequantized to the bit, and scored as transformers scores what they are dequantized to.
//! `scripts/make_quantized.py` makes the models of testdata/quantized.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use flate2::Crc;
use rerank::checkpoint::{ModelFiles, Quantization, Weights};
use rerank::model::Architecture;
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::families;
use crate::family::all;
use crate::fixture::{Files, Run, rerank, rerank_on_by_fixed_kernels};

const FOLDER: &str = "testdata/quantized";
pub const SHARDS: [&str; 2] = ["common.safetensors", "quantized.safetensors"];

#[derive(Deserialize)]
pub struct Models {
    pub config: Value,
    pairs: Vec<[String; 2]>,
    pub variants: BTreeMap<String, Variant>,
}

#[derive(Deserialize)]
pub struct Variant {
    /// The field of config.json, or the file, that states how the weights are quantized.
    place: String,
    quantization: Value,
    /// Whether the embedding is quantized, too.
    embedding: bool,
    /// CRC-32 of each dequantized matrix in f32.
    sums: BTreeMap<String, u32>,
    logits: Vec<f64>,
}

pub fn models() -> Models {
    serde_json::from_str(&std::fs::read_to_string(format!("{FOLDER}/models.json")).unwrap()).unwrap()
}

impl Models {
    /// Writes a variant, whose configuration may be changed before.
    pub fn write(&self, files: &Files, name: &str, change: impl FnOnce(&mut Value)) -> String {
        let variant = &self.variants[name];
        let model = files.name("model");
        std::fs::create_dir(&model).unwrap();
        for file in ["tokenizer.json", "tokenizer_config.json"] {
            std::fs::copy(Path::new("testdata/odd-reranker").join(file), files.path("model").join(file)).unwrap();
        }
        std::fs::copy(format!("{FOLDER}/{name}.safetensors"), files.path("model").join(SHARDS[1])).unwrap();
        let mut common = candle_core::safetensors::load(format!("{FOLDER}/common.safetensors"), &Device::Cpu).unwrap();
        common.retain(|name, _| !(variant.embedding && name.contains("embed_tokens")));
        candle_core::safetensors::save(&common, files.path("model").join(SHARDS[0])).unwrap();
        let index = json!({"weight_map": {"one": SHARDS[0], "other": SHARDS[1]}});
        files.write("model/model.safetensors.index.json", index.to_string());
        let (mut config, mut quantization) = (self.config.clone(), variant.quantization.clone());
        change(&mut quantization);
        if variant.place.ends_with(".json") {
            files.write(&format!("model/{}", variant.place), quantization.to_string());
        } else {
            config[&variant.place] = quantization;
        }
        files.write("model/config.json", config.to_string());
        model
    }

    /// The logits of all pairs.
    pub fn logits(&self, model: &str, options: &[&str]) -> Vec<f64> {
        let line = |(index, [query, document]): (usize, &[String; 2])| {
            let candidates = json!([{"id": index.to_string(), "text": document}]);
            json!({"query_id": index.to_string(), "query": query, "candidates": candidates}).to_string() + "\n"
        };
        let input: String = self.pairs.iter().enumerate().map(line).collect();
        let rankings = rerank_on_by_fixed_kernels(input, &[&["--model", model], options].concat()).rankings();
        rankings.iter().map(|ranking| ranking["results"][0]["logit"].as_f64().unwrap()).collect()
    }
}

/// Runs a model on anything.
pub fn scored(model: &str) -> Run {
    rerank(&["--model", model, "--input", "testdata/candidates.jsonl", "--verbose"])
}

#[test]
fn matrices_are_dequantized_to_the_bit() {
    let models = models();
    for (name, variant) in &models.variants {
        let files = Files::new();
        let model = models.write(&files, name, |_| ());
        let architecture = Architecture::read(&files.path("model/config.json")).unwrap();
        let weights = Weights::open(&SHARDS.map(|shard| files.path("model").join(shard))).unwrap();
        let quantization = Quantization::of_weights(&ModelFiles::in_directory(Path::new(&model)), &weights).unwrap();
        let weights = weights.quantized(quantization);
        for (tensor, sum) in &variant.sums {
            let tensor = *architecture.tensors().iter().find(|other| other.name == *tensor).unwrap();
            let rows = weights.matrix(tensor).unwrap();
            assert!(rows.is_quantized() && rows.stored_rows(0..1).is_none());
            let (mut crc, mut values) = (Crc::new(), vec![0f32; rows.inputs()]);
            for row in tensor.rows.clone() {
                rows.row(row, &mut values);
                crc.update(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
            }
            assert_eq!(crc.sum(), *sum, "{name}: {}", tensor.name);
            let last = tensor.rows.end - 1;
            let mut part = vec![0f32; rows.inputs()];
            weights.matrix(&tensor.part(last - 2..tensor.rows.end)).unwrap().row(2, &mut part);
            assert_eq!(part, values, "{name}: the last row of a part of {}", tensor.name);
        }
    }
}

/// The model whose weights are those that a quantized one stands for, in f32.
fn dequantized(files: &Files, model: &str) -> String {
    let architecture = Architecture::read(&files.path("model/config.json")).unwrap();
    let weights = Weights::open(&SHARDS.map(|shard| files.path("model").join(shard))).unwrap();
    let quantization = Quantization::of_weights(&ModelFiles::in_directory(Path::new(model)), &weights).unwrap();
    let weights = weights.quantized(quantization);
    let folder = files.name("dequantized");
    std::fs::create_dir(&folder).unwrap();
    let mut tensors = HashMap::new();
    for tensor in architecture.tensors() {
        let mut values = vec![0f32; tensor.rows.len() * tensor.inputs()];
        match tensor.shape.len() {
            1 => values = weights.vector(tensor).unwrap(),
            _ => {
                let rows = weights.matrix(tensor).unwrap();
                values.chunks_mut(tensor.inputs()).enumerate().for_each(|(row, values)| rows.row(row, values));
            }
        }
        let tensor_of_values = Tensor::from_vec(values, tensor.shape.as_slice(), &Device::Cpu).unwrap();
        tensors.insert(tensor.name.clone(), tensor_of_values);
    }
    candle_core::safetensors::save(&tensors, files.path("dequantized").join("model.safetensors")).unwrap();
    let mut config: Value = serde_json::from_str(&files.read("model/config.json")).unwrap();
    for field in ["quantization_config", "quantization", "compression_config"] {
        config.as_object_mut().unwrap().remove(field);
    }
    files.write("dequantized/config.json", config.to_string());
    for file in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(Path::new("testdata/odd-reranker").join(file), files.path("dequantized").join(file)).unwrap();
    }
    folder
}

/// Quantized weights are packed anew for every batch; the others once, when the model is loaded.
#[test]
fn weights_that_rest_score_as_those_that_are_packed_once_to_the_bit() {
    let models = models();
    for name in ["gptq-asymmetric", "ct-fp8-block", "mlx"] {
        let files = Files::new();
        let model = models.write(&files, name, |_| ());
        let whole = dequantized(&files, &model);
        for options in [&["--dtype", "f32"][..], &["--dtype", "bf16", "--batch-size", "1"], &["--dtype", "int8"]] {
            let [rests, packed] = [&model, &whole].map(|model| models.logits(model, options));
            assert_eq!(rests, packed, "{name} {options:?}");
        }
    }
}

#[test]
fn scores_are_those_of_transformers_on_the_dequantized_model() {
    let models = models();
    for (name, variant) in &models.variants {
        let files = Files::new();
        let model = models.write(&files, name, |_| ());
        let found = models.logits(&model, &["--dtype", "f32"]);
        for (found, expected) in found.iter().zip(&variant.logits) {
            assert!((found - expected).abs() < 1e-4, "{name}: {found}, not {expected}");
        }
    }
}

/// A stored tensor.
#[derive(Clone)]
pub struct Stored {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub bytes: Vec<u8>,
}

impl Stored {
    fn of(view: &TensorView<'_>) -> Self {
        Self { dtype: view.dtype(), shape: view.shape().to_vec(), bytes: view.data().to_vec() }
    }

    pub fn zeros(shape: &[usize], dtype: Dtype) -> Self {
        let bytes = vec![0; shape.iter().product::<usize>() * dtype.bitsize() / 8];
        Self { dtype, shape: shape.to_vec(), bytes }
    }

    pub fn integers(values: &[i32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::I32, shape: vec![values.len()], bytes }
    }
}

/// Changes the tensors of a variant's own shard.
pub fn damage(files: &Files, change: impl FnOnce(&mut HashMap<String, Stored>)) {
    let path = files.path("model").join(SHARDS[1]);
    let bytes = std::fs::read(&path).unwrap();
    let stored = |(name, view): (String, TensorView<'_>)| (name, Stored::of(&view));
    let mut tensors = SafeTensors::deserialize(&bytes).unwrap().tensors().into_iter().map(stored).collect();
    change(&mut tensors);
    store(&path, &tensors);
}

fn store(path: &Path, tensors: &HashMap<String, Stored>) {
    let views = tensors.iter().map(|(name, Stored { dtype, shape, bytes })| {
        let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
        (name, view)
    });
    let views: Vec<_> = views.collect();
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

#[test]
fn verbose_runs_name_the_scheme() {
    let models = models();
    for (variant, said) in [
        ("ct-w4a16", "compressed-tensors (int4, groups of 32; int4, groups of 25)"),
        ("ct-w8a8", "activations, which other engines quantize, too, are not"),
        ("gptq-dynamic", "GPTQ (int4, groups of 32, with overrides)"),
        ("mlx", "MLX (affine, int4, groups of 32, with overrides)"),
    ] {
        let files = Files::new();
        let run = scored(&models.write(&files, variant, |_| ()));
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert!(run.stderr.contains(said), "{variant}: {}", run.stderr);
    }
}

#[test]
fn a_head_of_mlx_is_read_as_its_embedding_is() {
    let models = models();
    let files = Files::new();
    let model = models.write(&files, "mlx", |config| {
        config["lm_head"] = config["model.embed_tokens"].clone();
    });
    damage(&files, |tensors| {
        for part in ["weight", "scales", "biases"] {
            tensors.insert(format!("lm_head.{part}"), tensors[&format!("model.embed_tokens.{part}")].clone());
        }
    });
    let tied = models.logits(&model, &["--dtype", "f32"]);
    let config =
        files.read("model/config.json").replace("\"tie_word_embeddings\":true", "\"tie_word_embeddings\":false");
    files.write("model/config.json", config);
    assert_eq!(models.logits(&model, &["--dtype", "f32"]), tied);
    for (found, expected) in tied.iter().zip(&models.variants["mlx"].logits) {
        assert!((found - expected).abs() < 1e-4, "{found}, not {expected}");
    }
}

#[test]
fn parts_of_a_matrix_may_stand_in_different_shards() {
    let models = models();
    for (variant, part) in [("gptq-v2", ".scales"), ("ct-w4a16", ".weight_packed"), ("fp8-block", ".weight")] {
        let files = Files::new();
        let model = models.write(&files, variant, |_| ());
        let mut moved = HashMap::new();
        damage(&files, |tensors| {
            moved = tensors.extract_if(|name, _| name.ends_with(part)).collect();
        });
        store(&files.path("model/third.safetensors"), &moved);
        let index = json!({"weight_map": {"one": SHARDS[0], "other": SHARDS[1], "third": "third.safetensors"}});
        files.write("model/model.safetensors.index.json", index.to_string());
        for (found, expected) in models.logits(&model, &["--dtype", "f32"]).iter().zip(&models.variants[variant].logits)
        {
            assert!((found - expected).abs() < 1e-4, "{variant}: {found}, not {expected}");
        }
    }
}

#[test]
fn less_precision_is_near() {
    let models = models();
    for (name, variant) in &models.variants {
        let files = Files::new();
        let model = models.write(&files, name, |_| ());
        for (dtype, bound) in [("bf16", 0.2), ("int8", 0.5)] {
            for (found, expected) in models.logits(&model, &["--dtype", dtype]).iter().zip(&variant.logits) {
                assert!((found - expected).abs() < bound, "{name} in {dtype}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn weights_of_gptq_are_found_under_their_older_names() {
    let models = models();
    let (files, name) = (Files::new(), "gptq-dynamic");
    let model = models.write(&files, name, |_| ());
    let mut tensors = HashMap::new();
    for shard in SHARDS {
        let bytes = std::fs::read(files.path("model").join(shard)).unwrap();
        let views = SafeTensors::deserialize(&bytes).unwrap().tensors();
        tensors.extend(views.into_iter().map(|(name, view)| (name, Stored::of(&view))));
        std::fs::remove_file(files.path("model").join(shard)).unwrap();
    }
    std::fs::remove_file(files.path("model/model.safetensors.index.json")).unwrap();
    let older = |bits: u32| files.path(&format!("model/gptq_model-{bits}bit-128g.safetensors"));
    store(&older(4), &tensors);
    let is_right = || {
        let found = models.logits(&model, &["--dtype", "f32"]);
        found.iter().zip(&models.variants[name].logits).all(|(found, expected)| (found - expected).abs() < 1e-4)
    };
    assert!(is_right());
    let dry = rerank(&["--model", &model, "--input", "testdata/candidates.jsonl", "--dry-run"]);
    assert!(dry.status == 0 && dry.stdout.contains("int4"), "{}{}", dry.stdout, dry.stderr);
    std::fs::write(older(3), "another").unwrap();
    scored(&model).fails(1, &["gptq_model-3bit-128g.safetensors, gptq_model-4bit-128g.safetensors", "the right one"]);
    // The configuration may name the right one.
    let mut settings: Value = serde_json::from_str(&files.read("model/quantize_config.json")).unwrap();
    settings["model_file_base_name"] = json!("gptq_model-4bit-128g");
    files.write("model/quantize_config.json", settings.to_string());
    assert!(is_right());
}

/// A matrix whose values are integers of 8 bits times a power of two, as integers and that power.
fn integers(values: &[f32]) -> (Vec<u8>, f32) {
    let is_whole = |scale: f32| values.iter().all(|value| (value / scale).fract() == 0.);
    let scale = (-20..8).rev().map(|exponent| 2f32.powi(exponent)).find(|scale| is_whole(*scale)).unwrap();
    let integer = |value: &f32| i8::try_from((value / scale) as i32).unwrap().cast_unsigned();
    (values.iter().map(integer).collect(), scale)
}

#[test]
fn models_of_every_family_may_be_quantized() {
    for (name, family) in all() {
        let files = Files::new();
        let (model, input) = (family.write(&files, "model"), families::input(&family, &files));
        let logits = || {
            let mut arguments = families::arguments(&family, &model, &input);
            arguments.extend(["--dtype", "f32"]);
            families::logits(&rerank(&arguments), family.pairs.len())
        };
        let plain = logits();
        let path = files.path("model/model.safetensors");
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        let mut stored = HashMap::new();
        for (tensor, values) in tensors {
            let shape = values.dims().to_vec();
            let values: Vec<f32> = values.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap();
            let is_layer = ["layer.", "layers."].iter().any(|part| tensor.contains(part)) && shape.len() == 2;
            if is_layer {
                let (bytes, scale) = integers(&values);
                let scales = vec![scale; shape[0]].iter().flat_map(|scale| scale.to_le_bytes()).collect();
                let module = tensor.strip_suffix(".weight").unwrap();
                stored.insert(
                    format!("{module}.weight_scale"),
                    Stored { dtype: Dtype::F32, shape: vec![shape[0], 1], bytes: scales },
                );
                stored.insert(tensor, Stored { dtype: Dtype::I8, shape, bytes });
            } else {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                stored.insert(tensor, Stored { dtype: Dtype::F32, shape, bytes });
            }
        }
        store(&path, &stored);
        let weights = json!({"num_bits": 8, "type": "int", "strategy": "channel", "symmetric": true});
        let groups = json!({"group_0": {"targets": ["Linear"], "weights": weights}});
        let mut config: Value = serde_json::from_str(&files.read("model/config.json")).unwrap();
        config["quantization_config"] =
            json!({"quant_method": "compressed-tensors", "format": "int-quantized", "config_groups": groups});
        files.write("model/config.json", config.to_string());
        assert_eq!(logits(), plain, "{name}");
    }
}
