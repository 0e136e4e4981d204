"""Dequantisation as the formats are described, slow and plain: every value is read bit by bit.

A module is a dictionary of numpy arrays by the names of its parts; what is returned is its matrix in
f32, `(outputs, inputs)`.
"""

import numpy as np

AWQ_ORDER = [0, 4, 1, 5, 2, 6, 3, 7]


def stream(words: np.ndarray, bits: int, count: int) -> list[int]:
    """Unsigned integers of a stream of 32-bit words without gaps, the lowest bits first."""
    whole = sum((int(word) & 0xFFFFFFFF) << (32 * index) for index, word in enumerate(words))
    return [whole >> (bits * index) & ((1 << bits) - 1) for index in range(count)]


def whole_values(words: np.ndarray, bits: int, count: int) -> list[int]:
    """The same of words that have whole values only."""
    each = 32 // bits
    return [(int(words[index // each]) & 0xFFFFFFFF) >> (bits * (index % each)) & ((1 << bits) - 1) for index in range(count)]


def float8(values: np.ndarray) -> np.ndarray:
    """F8_E4M3 without infinities, of bytes."""

    def value(byte: int) -> float:
        sign, exponent, mantissa = (-1) ** (byte >> 7), byte >> 3 & 15, byte & 7
        return sign * (mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7))

    return np.vectorize(value)(values.astype(np.int64)).astype(np.float32)


def f32(values: np.ndarray) -> np.ndarray:
    return np.asarray(values, dtype=np.float32)


def expand(numbers: np.ndarray, shape: tuple[int, int], block: tuple[int, int]) -> np.ndarray:
    """A number for each block becomes a number for each value; the last blocks may be smaller."""
    found = np.empty(shape, dtype=np.float32)
    for row in range(shape[0]):
        for column in range(shape[1]):
            found[row, column] = numbers[row // block[0], column // block[1]]
    return found


def compressed_tensors(parts: dict, weights: dict, shape: tuple[int, int]) -> np.ndarray:
    outputs, inputs = shape
    bits, strategy = weights["num_bits"], weights["strategy"]
    size = {"group": weights.get("group_size")}.get(strategy) or inputs
    block = {"tensor": (outputs, inputs), "block": tuple(weights.get("block_structure") or (1, 1))}.get(strategy, (1, size))
    scales = f32(parts["weight_scale"])
    scales = scales.reshape(1, 1) if strategy == "tensor" else scales.reshape(scales.shape[0], -1)
    if "weight_packed" in parts:
        dense = parts["weight_packed"].shape[1] == (inputs * bits + 31) // 32
        read = stream if dense else whole_values
        codes = np.array([read(row, bits, inputs) for row in parts["weight_packed"]], dtype=np.float32) - 2 ** (bits - 1)
    elif weights["type"] == "float":
        codes = float8(parts["weight"])
    else:
        codes = f32(parts["weight"].astype(np.int32))
    zeros = np.zeros((outputs, scales.shape[1]), dtype=np.float32)
    if "weight_zero_point" in parts and "weight_packed" in parts and not weights["symmetric"]:
        packed = parts["weight_zero_point"]
        columns = [stream(packed[:, group], bits, outputs) for group in range(packed.shape[1])]
        zeros = np.array(columns, dtype=np.float32).T - 2 ** (bits - 1)
    elif "weight_zero_point" in parts:
        zeros = f32(parts["weight_zero_point"].astype(np.int32))
    if "weight_g_idx" in parts and not (parts["weight_g_idx"] < 0).any():
        order = parts["weight_g_idx"]
        return (codes - zeros[:, order]) * scales[:, order]
    zeros = zeros if strategy == "block" else expand(zeros, shape, (1, size))
    return (codes - zeros) * expand(scales, shape, block) if strategy != "block" else codes * expand(scales, shape, block)


def fp8(parts: dict, config: dict, shape: tuple[int, int]) -> np.ndarray:
    scales = f32(parts["weight_scale_inv"] if "weight_scale_inv" in parts else parts["weight_scale"])
    block = config.get("weight_block_size")
    scales = expand(scales, shape, tuple(block)) if block else scales.reshape(1, 1)
    return float8(parts["weight"]) * scales


def gptq(parts: dict, config: dict, shape: tuple[int, int]) -> np.ndarray:
    outputs, inputs = shape
    bits = config["bits"]
    size = inputs if config["group_size"] == -1 else config["group_size"]
    codes = np.array([stream(parts["qweight"][:, row], bits, inputs) for row in range(outputs)], dtype=np.float32)
    words = parts["qzeros"].astype(np.int64) & 0xFFFFFFFF
    first = config.get("checkpoint_format", config.get("format", "gptq")) == "gptq"
    if first and bits != 3:
        # A one is added to every field of a word at once, as GPTQModel does: a carry goes into the next field.
        words = words + sum(1 << shift for shift in range(0, 32, bits)) & 0xFFFFFFFF
    zeros = np.array([stream(row, bits, outputs) for row in words], dtype=np.float32)
    if first and bits == 3:
        zeros = (zeros + 1) % 8
    groups = parts["g_idx"] if "g_idx" in parts else np.arange(inputs) // size
    scales = f32(parts["scales"])
    return (codes - zeros[groups].T) * scales[groups].T


def awq(parts: dict, config: dict, shape: tuple[int, int]) -> np.ndarray:
    outputs, inputs = shape

    def unpack(words: np.ndarray) -> np.ndarray:
        found = np.empty((words.shape[0], outputs), dtype=np.float32)
        for column in range(outputs):
            shift = 4 * AWQ_ORDER[column % 8]
            found[:, column] = (words[:, column // 8].astype(np.int64) & 0xFFFFFFFF) >> shift & 15
        return found

    groups = np.arange(inputs) // config["group_size"]
    return ((unpack(parts["qweight"]) - unpack(parts["qzeros"])[groups]) * f32(parts["scales"])[groups]).T


def mlx(parts: dict, config: dict, shape: tuple[int, int]) -> np.ndarray:
    bits, size = config["bits"], config["group_size"]
    codes = np.array([stream(row, bits, shape[1]) for row in parts["weight"]], dtype=np.float32)
    scales, offsets = (expand(f32(parts[name]), shape, (1, size)) for name in ("scales", "biases"))
    return codes * scales + offsets


METHODS = {"compressed-tensors": compressed_tensors, "fp8": fp8, "gptq": gptq, "awq": awq, "mlx": mlx}
