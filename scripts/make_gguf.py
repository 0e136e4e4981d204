#!/usr/bin/env python3
"""Writes the GGUF files of testdata/gguf, and the logits that `transformers` gives their models.

A test model is `testdata/gguf/NAME.json`. Its first keys are written by hand:

  about      what it is there for
  config     config.json of the model that is converted
  tokenizer  a folder of testdata/tokenizers
  types      pairs of a regular expression and a type: the first that a tensor's name in GGUF matches decides
  reference  how the reference implementation scores a pair, see `reference/scoring.py`
  labels     the labels of two rows of answers, in the order of the rows, in place of a head of its own
  template   the prompt in the file
  metadata   more metadata: names and whole numbers
  fused      whether queries, keys and values are one tensor
  pairs      a query and a document each

This script adds to each pair the logits in f32 and bf16 of the model whose weights are those of the file, dequantized by gguf-py,
and for each tensor a checksum of these: the sum of its values' bits, each times an odd number that grows with its place,
modulo 2^64. Names of tensors are those of gguf-py's own map.
"""

import argparse
import json
import re
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as Type
from safetensors.torch import save_file

import reference_families as families
from reference import layouts, scoring

FILES = Path("testdata/gguf")
ARCHITECTURES = {
    "qwen3": gguf.MODEL_ARCH.QWEN3,
    "qwen2": gguf.MODEL_ARCH.QWEN2,
    "xlm-roberta": gguf.MODEL_ARCH.BERT,
    "bert": gguf.MODEL_ARCH.BERT,
    "modernbert": gguf.MODEL_ARCH.MODERN_BERT,
}
# What minima are multiplied by, in units of the scale, so that values are about 0 on average.
MINIMA = {Type.Q2_K: 1.5, Type.Q4_K: 7.5, Type.Q5_K: 15.5}
# Where a block has its scales: of two bytes each.
SCALES = {
    Type.Q2_K: (80, 82),
    Type.Q3_K: (108,),
    Type.Q4_K: (0, 2),
    Type.Q5_K: (0, 2),
    Type.Q6_K: (208,),
    Type.IQ4_XS: (0,),
    Type.IQ4_NL: (0,),
}


def random_blocks(name: str, shape: tuple, kind: Type, deviation: float) -> np.ndarray:
    """Blocks of random bits, whose scales give the values this standard deviation."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    rows, inputs = shape
    seed = np.random.default_rng(families.seed(name))
    blocks = seed.integers(0, 256, (rows * inputs // values, size), dtype=np.uint8)

    def put(scale: np.ndarray) -> None:
        scales = [scale, scale * MINIMA.get(kind, 0)]
        for place, scale in zip(SCALES[kind], scales):
            blocks[:, place : place + 2] = scale.astype(np.float16).view(np.uint8).reshape(-1, 2)

    sizes = seed.uniform(0.5, 1.5, len(blocks))
    put(sizes)
    found = gguf.quants.dequantize(blocks.reshape(rows, -1), kind)
    put(sizes * deviation / found.std())
    return blocks.reshape(rows, -1)


def checksum(values: np.ndarray) -> str:
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32).reshape(-1).astype(np.uint64)
    with np.errstate(over="ignore"):
        return str(int((bits * (2 * np.arange(bits.size, dtype=np.uint64) + 1)).sum(dtype=np.uint64)))


def quantized(name: str, tensor: np.ndarray, definition: dict) -> tuple[np.ndarray, Type]:
    """The bytes of a tensor as they are stored, and their type. Vectors stay as they are, as in llama.cpp."""
    if tensor.ndim < 2:
        return tensor, Type.F32
    kind = next(Type[kind] for pattern, kind in definition["types"] if re.search(pattern, name))
    if kind in SCALES:
        return random_blocks(name, tensor.shape, kind, tensor.std()), kind
    return gguf.quants.quantize(tensor, kind), kind


def converted(definition: dict, state: dict) -> dict[str, tuple[str, np.ndarray]]:
    """Names in GGUF, with the names and values in transformers."""
    config = definition["config"]
    names = gguf.get_tensor_name_map(ARCHITECTURES[config["model_type"]], config["num_hidden_layers"])
    classifier = "ForSequenceClassification" in config["architectures"][0]
    found = {}
    for key, tensor in state.items():
        own = re.sub(r"^(roberta|bert)\.", "", key)
        if config["model_type"] == "modernbert":
            own = own.removeprefix("model.")
            # A projection straight from the head.
            own = own.replace("classifier.", "classifier.out_proj.") if classifier else own
        if config["model_type"] == "bert":
            own = own.replace("classifier.", "classifier.out_proj.").replace("pooler.dense.", "classifier.dense.")
        name = names.get_name(own, try_suffixes=(".weight", ".bias"))
        assert name, key
        if own == "embeddings.position_embeddings.weight" and config["model_type"] == "xlm-roberta":
            tensor = tensor[config["pad_token_id"] + 1 :]
        found[name] = (key, tensor)
    if definition.get("fused"):
        for layer in range(config["num_hidden_layers"]):
            for end in ("weight", "bias"):
                parts = [found.pop(f"blk.{layer}.attn_{part}.{end}")[1] for part in "qkv"]
                found[f"blk.{layer}.attn_qkv.{end}"] = (f"fused.{layer}.{end}", np.concatenate(parts))
    return found


def parameters(writer: gguf.GGUFWriter, definition: dict) -> None:
    """What `set_gguf_parameters` of llama.cpp's converter writes."""
    config = definition["config"]
    kind = config["model_type"]
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(definition.get("name", "Test Model"))
    writer.add_block_count(config["num_hidden_layers"])
    cut = config["pad_token_id"] + 1 if kind == "xlm-roberta" else 0
    writer.add_context_length(config["max_position_embeddings"] - cut)
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    if "num_key_value_heads" in config:
        writer.add_head_count_kv(config["num_key_value_heads"])
    if "rms_norm_eps" in config:
        writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
        writer.add_rope_freq_base(config["rope_theta"])
        if "head_dim" in config:
            writer.add_key_length(config["head_dim"])
            writer.add_value_length(config["head_dim"])
    else:
        writer.add_causal_attention(False)
        writer.add_layer_norm_eps(config.get("norm_eps", config.get("layer_norm_eps")))
        if labels := config.get("id2label"):
            writer.add_classifier_output_labels([label for _, label in sorted(labels.items())])
    if kind == "modernbert":
        writer.add_rope_freq_base(config["global_rope_theta"])
        writer.add_rope_freq_base_swa(config["local_rope_theta"])
        writer.add_layer_norm_rms_eps(config["norm_eps"])
        writer.add_sliding_window(config["local_attention"])
        writer.add_sliding_window_pattern(config["global_attn_every_n_layers"])
        writer.add_vocab_size(config["vocab_size"])
    if labels := definition.get("labels"):
        writer.add_pooling_type(gguf.PoolingType.RANK)
        writer.add_classifier_output_labels(labels)
    if template := definition.get("template"):
        writer.add_chat_template([{"name": "rerank", "template": template}])
    for name, number in definition.get("metadata", {}).items():
        writer.add_uint32(name, number)
    writer.add_tokenizer_model({"xlm-roberta": "t5", "bert": "bert"}.get(kind, "gpt2"))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def refresh(path: Path) -> None:
    definition = json.loads(path.read_text(encoding="utf-8"))
    config = definition["config"]
    architecture = gguf.MODEL_ARCH_NAMES[ARCHITECTURES[config["model_type"]]]
    with tempfile.TemporaryDirectory() as directory:
        directory = Path(directory)
        described = families.make(definition, directory)
        state = {}
        for tensors in described.values():
            for name, tensor in tensors.items():
                state[name] = families.values(name, tensor, torch.float32).numpy()
        if definition.get("labels"):
            # As the converter does with a tied head, and without one.
            rows = state.get("lm_head.weight", state["model.embed_tokens.weight"])
            ids = dict(zip(("yes", "no"), definition["reference"]["answers"]))
            rows = np.stack([rows[ids[label]] for label in definition["labels"]])
            state.pop("lm_head.weight", None)
        writer = gguf.GGUFWriter(path.with_suffix(".gguf"), architecture)
        parameters(writer, definition)
        definition["checksums"], dequantized = {}, {}

        def add(name: str, tensor: np.ndarray) -> np.ndarray:
            data, kind = quantized(name, tensor, definition)
            writer.add_tensor(name, data, raw_dtype=kind)
            values = gguf.quants.dequantize(data, kind) if kind != Type.F32 else data
            definition["checksums"][name] = checksum(values)
            return np.ascontiguousarray(values, dtype=np.float32)

        for name, (key, tensor) in converted(definition, state).items():
            values = add(name, tensor)
            if key.startswith("fused."):
                _, layer, end = key.split(".")
                for part, third in zip(("query", "key", "value"), np.split(values, 3)):
                    dequantized[f"roberta.encoder.layer.{layer}.attention.self.{part}.{end}"] = third.copy()
                continue
            if name == "position_embd.weight" and values.shape != state[key].shape:
                values = np.concatenate([np.zeros((len(state[key]) - len(values), values.shape[1]), np.float32), values])
            dequantized[key] = values
        if definition.get("labels"):
            values = add("cls.output.weight", rows)
            # The reference takes the rows of the answers from a head.
            head = np.zeros((config["vocab_size"], config["hidden_size"]), np.float32)
            for label, row in zip(definition["labels"], values):
                head[ids[label]] = row
            dequantized["lm_head.weight"] = head
            config = config | {"tie_word_embeddings": False}
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
        tensors = {name: torch.from_numpy(values) for name, values in dequantized.items()}
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
        pairs = [[families.text(pair["query"]), families.text(pair["document"])] for pair in definition["pairs"]]
        found = [scoring.score(definition, directory, pairs, dtype) for dtype in (torch.float32, torch.bfloat16)]
    for pair, (tokens, logit), (_, rough) in zip(definition["pairs"], *found):
        pair |= {"tokens": tokens, "f32": logit, "bf16": rough}
        print(f"{path.stem}: {tokens} tokens, {logit:.6f}")
    definition["made_by"] = (
        f"scripts/make_gguf.py on the CPU, torch {torch.__version__}, transformers {transformers.__version__}, "
        f"gguf {__import__('importlib.metadata').metadata.version('gguf')}"
    )
    path.write_text(layouts.compact(definition), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="the test models [all]")
    arguments = parser.parse_args()
    transformers.logging.set_verbosity_error()
    for path in [FILES / f"{name}.json" for name in arguments.names] or sorted(FILES.glob("*.json")):
        refresh(path)


if __name__ == "__main__":
    main()
