#!/usr/bin/env python3
"""Makes the quantized checkpoints of testdata/quantized, and what they must give.

All are one small Qwen3 model: `common.safetensors` has what is never quantized, and a variant's file the
rest, so that every variant has two shards. `models.json` has the configurations, and for each variant the
checksums (CRC-32) of its dequantized matrices in f32 and the logits of transformers on them. The matrices
are dequantized by `reference/dequantize.py`, which follows the formats' descriptions bit by bit; where
compressed-tensors or MLX reads a variant itself, its own code must give the same numbers.
"""

import json
import re
import shutil
import tempfile
import zlib
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file

from reference import dequantize, quantize, scoring

FOLDER = Path("testdata/quantized")
TOKENIZER = Path("testdata/odd-reranker")
PROMPT = json.loads(Path("testdata/families/qwen3.json").read_text(encoding="utf-8"))["reference"]
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "attention_bias": False, "head_dim": 32, "hidden_act": "silu",
    "hidden_size": 64, "intermediate_size": 100, "max_position_embeddings": 40960, "model_type": "qwen3",
    "num_attention_heads": 2, "num_hidden_layers": 1, "num_key_value_heads": 1, "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0, "tie_word_embeddings": True, "vocab_size": 420, "torch_dtype": "float32",
}
PAIRS = [
    ["who sees that bird", "Nobody does."],
    ["who sees that bird", "A bird that sings at night is seen by the man who watches the garden."],
    ["what is the capital of France", "Paris is the capital of France."],
]
EMBEDDING = "model.embed_tokens"


def originals() -> dict[str, torch.Tensor]:
    """The model before it is quantized."""
    random = np.random.RandomState(16)
    model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config.from_dict(CONFIG))
    found = {}
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        shape = tuple(tensor.shape)
        if len(shape) == 1:
            found[name] = torch.from_numpy(1 + random.randint(-8, 8, shape) / 64).to(torch.bfloat16)
            continue
        matrix = random.standard_normal(shape) * (1.0 if EMBEDDING in name else 1.5 / shape[1] ** 0.5)
        if EMBEDDING not in name:
            # Zero points at both ends.
            matrix[1::7], matrix[2::7] = np.abs(matrix[1::7]), -np.abs(matrix[2::7])
        found[name] = torch.from_numpy(matrix).to(torch.bfloat16)
    return found


def weights(bits: int, strategy: str, symmetric: bool = True, **more) -> dict:
    return {"num_bits": bits, "type": "int", "symmetric": symmetric, "strategy": strategy, "group_size": None,
            "block_structure": None, "dynamic": False, "actorder": None, "observer": "minmax", **more}


def groups(bits: int, symmetric: bool = True, **more) -> list:
    """The groups of a configuration: those of the MLP's last layer have another size, for its 100 inputs."""
    return [(["Linear"], weights(bits, "group", symmetric, group_size=32, **more)),
            (["re:.*down_proj$"], weights(bits, "group", symmetric, group_size=25, **more))]


def packed(found: list, ignore: tuple = ("lm_head",), **more) -> dict:
    return llm_compressor("pack-quantized", found, ignore, **more)


def llm_compressor(form: str, found: list, ignore: tuple = ("lm_head",), inputs: dict | None = None, **more) -> dict:
    described = {f"group_{index}": {"targets": targets, "weights": scheme, "input_activations": inputs, "output_activations": None}
                 for index, (targets, scheme) in enumerate(found)}
    return {"quant_method": "compressed-tensors", "format": form, "quantization_status": "compressed",
            "config_groups": described, "ignore": list(ignore), "kv_cache_scheme": None, "global_compression_ratio": None, **more}


DYNAMIC = {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True, "group_size": None}
FLOAT = {"type": "float"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": False, "desc_act": False, "damp_percent": 0.01}
NO_EMBEDDING = {"not": f"{EMBEDDING}$"}
# The configuration of each variant, and options of how it is made.
VARIANTS = {
    "ct-w4a16": (packed(groups(4), ("lm_head", "re:.*v_proj")), {"scales": torch.bfloat16}),
    "ct-w8a16-channel": (packed([(["Linear"], weights(8, "channel"))]), {"scales": torch.float32, "unused_order": True}),
    "ct-w4a16-asymmetric": (packed(groups(4, False)), {"scales": torch.float16}),
    "ct-w3-w5-w6": (packed([*groups(3, False), (["model.layers.0.self_attn.q_proj"], weights(5, "channel", False)),
                            (["re:.*k_proj"], weights(6, "group", True, group_size=64))]), {"scales": torch.bfloat16}),
    "ct-w3-whole": (packed(groups(3)), {"scales": torch.bfloat16, "whole": True, "own": False}),
    "ct-w4a16-order": (packed(groups(4, False, actorder="group")), {"scales": torch.float16, "order": 7, "own": False}),
    "ct-w8a8": (llm_compressor("int-quantized", [(["Linear"], weights(8, "channel"))], inputs=DYNAMIC),
                {"scales": torch.bfloat16, "zeros": True}),
    "ct-w8a8-asymmetric": (llm_compressor("int-quantized", [(["Linear", "Embedding"], weights(8, "channel", False))],
                                          inputs=DYNAMIC), {"scales": torch.float32, "embedding": True}),
    "ct-fp8-channel": (llm_compressor("float-quantized", [(["Linear"], weights(8, "channel", **FLOAT))],
                                      inputs=DYNAMIC | FLOAT), {"scales": torch.bfloat16}),
    "ct-fp8-tensor": (llm_compressor("float-quantized", [(["Linear"], weights(8, "tensor", **FLOAT))], kv_cache_scheme=FLOAT,
                                     inputs={**DYNAMIC, **FLOAT, "strategy": "tensor", "dynamic": False}),
                      {"scales": torch.float32, "input_scale": True}),
    "ct-fp8-block": (llm_compressor("float-quantized", [(["Linear"], {**weights(8, "block", **FLOAT), "block_structure": [48, 32]})],
                                    inputs=DYNAMIC | FLOAT), {"scales": torch.bfloat16}),
    "fp8-block": ({"quant_method": "fp8", "activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [48, 32],
                   "modules_to_not_convert": ["lm_head", "self_attn.v_proj"]}, {"not": "v_proj"}),
    "fp8-powers": ({"quant_method": "fp8", "weight_block_size": [64, 64], "scale_fmt": "ue8m0"}, {}),
    "fp8-tensor": ({"quant_method": "fp8", "activation_scheme": "static", "ignored_layers": ["lm_head"]}, {}),
    "gptq-symmetric": (GPTQ | {"sym": True, "desc_act": True}, {"zero_bias": True}),
    "gptq-asymmetric": (GPTQ | {"checkpoint_format": "gptq"}, {"index": False}),
    "gptq-v2": (GPTQ | {"checkpoint_format": "gptq_v2", "desc_act": True, "pack_dtype": "int32", "meta": {"quantizer": []}}, {}),
    "gptq-3": (GPTQ | {"bits": 3, "desc_act": True}, {}),
    "gptq-3-v2": (GPTQ | {"bits": 3, "format": "gptq_v2", "group_size": 64}, {}),
    "gptq-2": (GPTQ | {"bits": 2, "group_size": -1}, {}),
    "gptq-8": (GPTQ | {"bits": 8, "group_size": 64}, {}),
    "gptq-dynamic": (GPTQ | {"dynamic": {r"-:.*v_proj": {}, r"+:.*\.mlp\.down": {"bits": 8, "group_size": -1},
                                         r".*\.[qk]_proj": {"group_size": 16}}}, {"not": "v_proj", "file": "quantize_config.json"}),
    "awq": ({"quant_method": "awq", "bits": 4, "group_size": 32, "version": "gemm", "zero_point": True,
             "modules_to_not_convert": ["k_proj"]}, {"not": "k_proj"}),
    "mlx": ({"group_size": 32, "bits": 4, "mode": "affine", "model.layers.0.mlp.down_proj": False,
             EMBEDDING: {"group_size": 64, "bits": 6}, "model.layers.0.self_attn.q_proj": {"group_size": 32, "bits": 3},
             "model.layers.0.self_attn.k_proj": {"group_size": 32, "bits": 5},
             "model.layers.0.self_attn.v_proj": {"group_size": 64, "bits": 8},
             "model.layers.0.self_attn.o_proj": {"group_size": 64, "bits": 2}},
            {"not": "down_proj", "embedding": True, "file": "quantization"}),
}


def settings(config: dict, module: str) -> dict | None:
    """How a module is quantized; none if it is left as it is."""
    method = config.get("quant_method", "mlx")
    if method == "mlx":
        return {**config, **(config.get(module) or {})}
    if method == "gptq":
        for pattern, more in config.get("dynamic", {}).items():
            if re.match(pattern.removeprefix("+:").removeprefix("-:"), module):
                return None if pattern.startswith("-:") else config | more
        return config
    if method != "compressed-tensors":
        return config
    if any(re.match(entry.removeprefix("re:"), module) for entry in config["ignore"]):
        return None
    found = {target: group["weights"] for group in config["config_groups"].values() for target in group["targets"]}
    expressions = [scheme for target, scheme in found.items() if target.startswith("re:") and re.match(target[3:], module)]
    return found.get(module) or next(iter(expressions), found["Linear"])


def as_arrays(parts: dict) -> dict:
    """Floats of 8 bits as bytes."""
    of_bytes = {torch.float8_e4m3fn: torch.uint8, torch.uint32: torch.int32}
    wide = lambda tensor: tensor.float() if tensor.is_floating_point() else tensor
    return {name: wide(tensor.view(of_bytes.get(tensor.dtype, tensor.dtype))).numpy() for name, tensor in parts.items()}


def by_compressed_tensors(parts: dict, scheme: dict, form: str) -> np.ndarray:
    """What compressed-tensors itself makes of a module, in f32."""
    from compressed_tensors.compressors import BaseCompressor
    from compressed_tensors.quantization import QuantizationScheme

    parts = {**parts, "weight_scale": parts["weight_scale"].float()}
    parts = {name: part for name, part in parts.items() if not name.endswith(("g_idx", "input_scale"))}
    scheme = QuantizationScheme(targets=["Linear"], weights=scheme)
    return BaseCompressor.get_value_from_registry(form).decompress(parts, scheme)["weight"].numpy()


def by_mlx(parts: dict, scheme: dict) -> np.ndarray | None:
    """What MLX itself makes of a module in f32, where it is installed."""
    try:
        import mlx.core as mx
    except ImportError:
        return None
    words, scales, offsets = mx.array(parts["weight"].numpy()), *(mx.array(parts[name].float().numpy()) for name in ("scales", "biases"))
    return np.array(mx.dequantize(words, scales, offsets, group_size=scheme["group_size"], bits=scheme["bits"]))


def make(name: str, original: dict) -> dict:
    """Writes a variant's file, and returns its configuration and what it must give."""
    config, options = VARIANTS[name]
    method = config.get("quant_method", "mlx")
    stored, dequantized, sums = {}, dict(original), {}
    for tensor, matrix in original.items():
        module = tensor.removesuffix(".weight")
        if matrix.ndim == 1 or (module == EMBEDDING and not options.get("embedding")):
            continue
        scheme = settings(config, module)
        if scheme is None or re.search(options.get("not", "^$"), module):
            stored[tensor] = matrix
            continue
        options["format"] = config.get("format")
        parts = quantize.METHODS[method](matrix.double().numpy(), scheme, options)
        if options.get("input_scale"):
            parts["input_scale"] = torch.tensor([0.25])
        values = dequantize.METHODS[method](as_arrays(parts), scheme, tuple(matrix.shape))
        if method == "compressed-tensors" and options.get("own", True):
            np.testing.assert_array_equal(values, by_compressed_tensors(parts, scheme, config["format"]), err_msg=f"{name} {module}")
        if method == "mlx" and (own := by_mlx(parts, scheme)) is not None:
            np.testing.assert_array_equal(values, own, err_msg=module)
        worst = np.abs(values - matrix.float().numpy()).max()
        if worst > {2: 2.0, 3: 1.0}.get(scheme.get("bits", scheme.get("num_bits")), 0.5):
            raise ValueError(f"{name} {module}: off by {worst}")
        dequantized[tensor] = torch.from_numpy(values.astype(np.float32).copy())
        sums[tensor] = zlib.crc32(dequantized[tensor].numpy().tobytes())
        stored |= {f"{module}.{part}": value.contiguous() for part, value in parts.items()}
    if options.get("input_scale"):
        stored["model.layers.0.self_attn.k_scale"] = torch.tensor([0.125])
    save_file(stored, FOLDER / f"{name}.safetensors", metadata={"format": "pt"})
    logits = score({tensor: matrix.float() for tensor, matrix in dequantized.items()})
    place = options.get("file", "quantization_config")
    return {"place": place, "quantization": config, "embedding": bool(options.get("embedding")), "sums": sums, "logits": logits}


def score(tensors: dict) -> list[float]:
    with tempfile.TemporaryDirectory() as directory:
        for path in TOKENIZER.glob("tokenizer*"):
            shutil.copy(path, directory)
        (Path(directory) / "config.json").write_text(json.dumps(CONFIG), encoding="utf-8")
        save_file(tensors, Path(directory) / "model.safetensors", metadata={"format": "pt"})
        return [logit for _, logit in scoring.prompt(PROMPT, Path(directory), PAIRS, torch.float32)]


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    original = originals()
    common = {name: tensor for name, tensor in original.items() if tensor.ndim == 1 or EMBEDDING in name}
    save_file(common, FOLDER / "common.safetensors", metadata={"format": "pt"})
    found = {"config": CONFIG, "pairs": PAIRS, "unquantized": score({name: tensor.float() for name, tensor in original.items()}),
             "variants": {name: make(name, original) for name in VARIANTS}}
    (FOLDER / "models.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
