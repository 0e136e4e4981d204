//! Ways to quantize that rerank does not read, and configurations that contradict the checkpoint, are refused by name.

use serde_json::{Value, json};

use crate::fixture::Files;
use crate::quantized::{damage, models, scored};

#[test]
fn other_methods_and_layouts_are_refused_by_name() {
    let models = models();
    let group = |change: Value| {
        move |config: &mut Value| {
            let group = config.pointer_mut("/config_groups/group_0/weights").unwrap().as_object_mut().unwrap();
            group.extend(change.as_object().unwrap().clone());
        }
    };
    let set = |change: Value| {
        move |config: &mut Value| config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone())
    };
    type Change = Box<dyn Fn(&mut Value)>;
    let cases: Vec<(&str, Change, &str)> = vec![
        ("awq", Box::new(set(json!({"quant_method": "bitsandbytes", "load_in_4bit": true}))), "by bitsandbytes"),
        ("awq", Box::new(set(json!({"quant_method": "hqq"}))), "by hqq"),
        ("awq", Box::new(set(json!({"quant_method": "AQLM"}))), "by AQLM"),
        ("awq", Box::new(set(json!({"quant_method": "quanto"}))), "by quanto"),
        ("awq", Box::new(set(json!({"quant_method": "torchao"}))), "by torchao"),
        ("awq", Box::new(set(json!({"quant_method": "eetq"}))), "by eetq"),
        ("awq", Box::new(set(json!({"quant_method": "exl3"}))), "by exl3"),
        ("awq", Box::new(set(json!({"quant_method": "mxfp4"}))), "by mxfp4"),
        ("awq", Box::new(set(json!({"quant_method": "modelopt"}))), "by modelopt"),
        ("awq", Box::new(set(json!({"quant_method": "newest"}))), "`newest`, which rerank does not know"),
        ("awq", Box::new(set(json!({"version": "gemv"}))), "version is `gemv`"),
        ("awq", Box::new(set(json!({"version": "gemv_fast"}))), "version is `gemv_fast`"),
        ("awq", Box::new(set(json!({"backend": "llm-awq"}))), "backend is `llm-awq`"),
        ("awq", Box::new(set(json!({"bits": 8}))), "AWQ of 4 bits"),
        ("gptq-v2", Box::new(set(json!({"checkpoint_format": "marlin"}))), "checkpoint_format is `marlin`"),
        ("gptq-v2", Box::new(set(json!({"checkpoint_format": "gptq_p"}))), "checkpoint_format is `gptq_p`"),
        ("gptq-v2", Box::new(set(json!({"checkpoint_format": "bitblas"}))), "checkpoint_format is `bitblas`"),
        ("gptq-v2", Box::new(set(json!({"is_marlin_format": true}))), "is_marlin_format"),
        ("gptq-v2", Box::new(set(json!({"bits": 5}))), "bits is 5"),
        ("gptq-v2", Box::new(set(json!({"pack_dtype": "int16"}))), "pack_dtype is `int16`"),
        ("gptq-v2", Box::new(set(json!({"rotation": "hadamard"}))), "rotation"),
        ("gptq-v2", Box::new(set(json!({"dynamic": {"-:(": {}}}))), "dynamic.-:("),
        ("mlx", Box::new(set(json!({"mode": "mxfp8"}))), "mode is `mxfp8`"),
        ("mlx", Box::new(set(json!({"bits": 7}))), "bits is 7"),
        ("fp8-block", Box::new(set(json!({"fmt": "e5m2"}))), "fmt is `e5m2`"),
        ("fp8-block", Box::new(set(json!({"weight_block_size": [128]}))), "weight_block_size"),
        ("fp8-block", Box::new(set(json!({"weight_block_size": [0, 128]}))), "weight_block_size"),
        ("ct-w4a16", Box::new(set(json!({"format": "nvfp4-pack-quantized"}))), "format is `nvfp4-pack-quantized`"),
        ("ct-w4a16", Box::new(set(json!({"format": "mxfp4-pack-quantized"}))), "format is `mxfp4-pack-quantized`"),
        ("ct-w4a16", Box::new(set(json!({"format": "marlin-24"}))), "format is `marlin-24`"),
        ("ct-w4a16", Box::new(set(json!({"format": "dense"}))), "save_compressed=True"),
        ("ct-w4a16", Box::new(set(json!({"quantization_status": "calibration"}))), "save_compressed=True"),
        ("ct-w4a16", Box::new(set(json!({"sparsity_config": {"format": "sparse-24-bitmask"}}))), "sparse-24-bitmask"),
        ("ct-w4a16", Box::new(set(json!({"transform_config": {"config_groups": {"R1": {}}}}))), "transform_config"),
        ("ct-w4a16", Box::new(set(json!({"unheard_of": 1}))), "unheard_of"),
        ("ct-w4a16", Box::new(set(json!({"config_groups": {"W4A16": ["Linear"]}}))), "config_groups.W4A16"),
        ("ct-w4a16", Box::new(group(json!({"num_bits": 16}))), "num_bits 16"),
        ("ct-w4a16", Box::new(group(json!({"strategy": "tensor_group"}))), "strategy is `tensor_group`"),
        ("ct-w4a16", Box::new(group(json!({"group_size": null}))), "no group_size"),
        ("ct-w4a16", Box::new(group(json!({"dynamic": true}))), "dynamic"),
    ];
    for (variant, change, said) in cases {
        let files = Files::new();
        let model = models.write(&files, variant, change);
        scored(&model).fails(1, &["config.json", said]);
    }
}

#[test]
fn modules_that_a_configuration_leaves_out_must_not_be_quantized() {
    let models = models();
    for (variant, change, said) in [
        ("ct-w4a16", json!({"ignore": ["re:.*q_proj"]}), "ignore (re:.*q_proj)"),
        ("ct-w4a16", json!({"ignore": ["Linear"]}), "ignore (Linear)"),
        (
            "awq",
            json!({"modules_to_not_convert": ["model.layers.*.mlp"]}),
            "modules_to_not_convert (model.layers.*.mlp)",
        ),
        ("awq", json!({"modules_to_not_convert": ["self_attn.q_proj"]}), "modules_to_not_convert (self_attn.q_proj)"),
        ("gptq-dynamic", json!({"dynamic": {"-:model.layers.0.self": {}}}), "dynamic (-:model.layers.0.self)"),
        ("mlx", json!({"model.layers.0.mlp.up_proj": false}), "model.layers.0.mlp.up_proj.scales"),
    ] {
        let files = Files::new();
        let model = models.write(&files, variant, |config| {
            config.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        });
        scored(&model).fails(1, &[said, "leaves this module as it is"]);
    }
    let files = Files::new();
    let model = models
        .write(&files, "ct-w4a16", |config| config["config_groups"]["group_0"]["targets"] = json!(["re:.*k_proj"]));
    scored(&model).fails(1, &["no targets of config_groups name this module"]);
    // A pattern that names a part of a name is none.
    let files = Files::new();
    let model =
        models.write(&files, "awq", |config| config["modules_to_not_convert"] = json!(["model.layers.0.mlp.up"]));
    assert_eq!(scored(&model).status, 0);
}

#[test]
fn a_quantized_head_is_refused() {
    let models = models();
    for (variant, parts) in [
        ("gptq-v2", &["qweight", "qzeros", "scales", "g_idx"][..]),
        ("ct-w4a16", &["weight_packed", "weight_scale", "weight_shape"]),
        ("mlx", &["weight", "scales", "biases"]),
    ] {
        let files = Files::new();
        let model = models.write(&files, variant, |_| ());
        damage(&files, |tensors| {
            for part in parts {
                let tensor = tensors[&format!("model.layers.0.self_attn.q_proj.{part}")].clone();
                tensors.insert(format!("score.{part}"), tensor);
            }
        });
        let mut config: Value = serde_json::from_str(&files.read("model/config.json")).unwrap();
        config["architectures"] = json!(["Qwen3ForSequenceClassification"]);
        config["num_labels"] = json!(1);
        files.write("model/config.json", config.to_string());
        scored(&model).fails(1, &["the head (score.weight) is quantized", "left out"]);
    }
}

#[test]
fn quantized_tensors_without_a_configuration_are_explained() {
    let models = models();
    for variant in ["gptq-v2", "ct-fp8-channel", "mlx"] {
        let files = Files::new();
        let model = models.write(&files, variant, |config| *config = Value::Null);
        scored(&model).fails(1, &["config.json", "quantiz"]);
    }
}
