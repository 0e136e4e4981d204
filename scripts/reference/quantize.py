"""Rounds matrices to few bits and packs them as the formats do, by numpy alone."""

import numpy as np
import torch

AWQ_COLUMNS = [0, 2, 4, 6, 1, 3, 5, 7]


def pack(values: np.ndarray, bits: int) -> np.ndarray:
    """Rows of unsigned integers as 32-bit words without gaps."""
    words = []
    for row in values.astype(np.int64):
        whole = sum(int(value) << (bits * index) for index, value in enumerate(row))
        count = (len(row) * bits + 31) // 32
        words.append([whole >> (32 * index) & 0xFFFFFFFF for index in range(count)])
    return np.array(words, dtype=np.uint32)


def pack_whole(values: np.ndarray, bits: int) -> np.ndarray:
    """The same in words of whole values only."""
    each = 32 // bits
    rows = [np.concatenate([pack(row[None, start:start + each], bits)[0] for start in range(0, len(row), each)]) for row in values]
    return np.array(rows, dtype=np.uint32)


def groups_of(inputs: int, size: int) -> np.ndarray:
    return np.arange(inputs) // size


def affine(matrix: np.ndarray, bits: int, groups: np.ndarray, symmetric: bool, dtype: torch.dtype) -> tuple:
    """Unsigned integers, and scales and zero points `(outputs, groups)`; the scales are of a type."""
    count, most = int(groups.max()) + 1, 2**bits - 1
    codes = np.empty(matrix.shape, dtype=np.int64)
    scales, zeros = (np.empty((matrix.shape[0], count)) for _ in range(2))
    for group in range(count):
        part = matrix[:, groups == group]
        if symmetric:
            scale = np.abs(part).max(1) * 2 / most
            zero = np.full(len(scale), 2.0 ** (bits - 1))
        else:
            low, high = np.minimum(part.min(1), 0), np.maximum(part.max(1), 0)
            scale = (high - low) / most
            zero = np.round(-low / scale)
        scales[:, group] = rounded(np.maximum(scale, 1e-4), dtype)
        zeros[:, group] = zero
        codes[:, groups == group] = np.round(part / scales[:, group, None]) + zero[:, None]
    return np.clip(codes, 0, most), scales, zeros.astype(np.int64)


def rounded(values: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    return torch.from_numpy(values).to(dtype).double().numpy()


def signed_words(words: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(words.astype(np.uint32).view(np.int32).copy())


def compressed_tensors(matrix: np.ndarray, weights: dict, options: dict) -> dict:
    bits, dtype = weights["num_bits"], options["scales"]
    inputs = matrix.shape[1]
    if weights["type"] == "float" or weights["strategy"] in ("tensor", "block"):
        return plain_blocks(matrix, weights, dtype)
    groups = groups_of(inputs, weights["group_size"] if weights["strategy"] == "group" else inputs)
    if options.get("order") is not None:
        groups = groups[np.random.RandomState(options["order"]).permutation(inputs)]
    codes, scales, zeros = affine(matrix, bits, groups, weights["symmetric"], dtype)
    parts = {"weight_scale": torch.from_numpy(scales).to(dtype)}
    if options["format"] == "pack-quantized":
        packed = (pack_whole if options.get("whole") else pack)(codes, bits)
        parts |= {"weight_packed": signed_words(packed), "weight_shape": torch.tensor(matrix.shape)}
        if not weights["symmetric"]:
            parts["weight_zero_point"] = signed_words(pack(zeros.T, bits).T)
        if options.get("order") is not None:
            parts["weight_g_idx"] = torch.from_numpy(groups.astype(np.int32))
        elif options.get("unused_order"):
            parts["weight_g_idx"] = torch.full((inputs,), -1, dtype=torch.int32)
    else:
        parts["weight"] = torch.from_numpy((codes - 2 ** (bits - 1)).astype(np.int8))
        if not weights["symmetric"] or options.get("zeros"):
            parts["weight_zero_point"] = torch.from_numpy((zeros - 2 ** (bits - 1)).astype(np.int8))
    return parts


def plain_blocks(matrix: np.ndarray, weights: dict, dtype: torch.dtype) -> dict:
    """Floats of 8 bits with a scale for each output, matrix or block."""
    outputs, inputs = matrix.shape
    block = {"channel": (1, inputs), "tensor": (outputs, inputs)}.get(weights["strategy"]) or weights["block_structure"]
    values, scales = float_blocks(matrix, block, dtype)
    return {"weight": values, "weight_scale": scales.reshape(-1) if weights["strategy"] == "tensor" else scales}


def float_blocks(matrix: np.ndarray, block: tuple[int, int], dtype: torch.dtype) -> tuple:
    rows, columns = (-(-size // part) for size, part in zip(matrix.shape, block))
    scales, values = np.empty((rows, columns)), np.empty(matrix.shape)
    for row in range(rows):
        for column in range(columns):
            place = (slice(row * block[0], (row + 1) * block[0]), slice(column * block[1], (column + 1) * block[1]))
            scale = np.array(np.abs(matrix[place]).max() / 448)
            # Powers of two are rounded up, so that all values fit.
            scale = 2 ** np.ceil(np.log2(scale)) if dtype == torch.float8_e8m0fnu else rounded(scale, dtype)
            scales[row, column] = scale
            values[place] = matrix[place] / scales[row, column]
    return torch.from_numpy(values).to(torch.float8_e4m3fn), torch.from_numpy(scales).float().to(dtype)


def fp8(matrix: np.ndarray, config: dict, options: dict) -> dict:
    block = config.get("weight_block_size")
    dtype = torch.float8_e8m0fnu if config.get("scale_fmt") == "ue8m0" else torch.float32
    values, scales = float_blocks(matrix, block or matrix.shape, dtype)
    if block:
        return {"weight": values, "weight_scale_inv": scales}
    return {"weight": values, "weight_scale": scales.reshape(()), "input_scale": torch.tensor(0.5)}


def gptq(matrix: np.ndarray, config: dict, options: dict) -> dict:
    outputs, inputs = matrix.shape
    bits, size = config["bits"], inputs if config["group_size"] == -1 else config["group_size"]
    groups = groups_of(inputs, size)
    if config.get("desc_act"):
        groups = groups[np.random.RandomState(inputs).permutation(inputs)]
    codes, scales, zeros = affine(matrix, bits, groups, config["sym"], torch.float16)
    pad = lambda values: np.pad(values, ((0, 0), (0, -values.shape[1] % 32))) if bits == 3 else values
    words = pack(pad(zeros.T), bits)
    if config.get("checkpoint_format", config.get("format", "gptq")) == "gptq":
        if bits == 3:
            words = pack(pad((zeros.T - 1) % 8), bits)
        else:
            # As GPTQModel: a one is taken from every field of a word at once, with a borrow from the next.
            ones = sum(1 << shift for shift in range(0, 32, bits))
            words = ((words.astype(np.int64) - ones) & 0xFFFFFFFF).astype(np.uint32)
    parts = {
        "qweight": signed_words(np.ascontiguousarray(pack(pad(codes), bits).T)),
        "qzeros": signed_words(words),
        "scales": torch.from_numpy(scales.T.copy()).half(),
    }
    if options.get("index", True):
        parts["g_idx"] = torch.from_numpy(groups.astype(np.int32))
    if options.get("zero_bias"):
        parts["bias"] = torch.zeros(outputs, dtype=torch.float16)
    return parts


def awq(matrix: np.ndarray, config: dict, options: dict) -> dict:
    codes, scales, zeros = affine(matrix, 4, groups_of(matrix.shape[1], config["group_size"]), False, torch.float16)

    def packed(values: np.ndarray) -> torch.Tensor:
        values = np.pad(values, ((0, 0), (0, -values.shape[1] % 8)))
        order = [8 * block + column for block in range(values.shape[1] // 8) for column in AWQ_COLUMNS]
        return signed_words(pack(values[:, order], 4))

    return {"qweight": packed(codes.T), "qzeros": packed(zeros.T), "scales": torch.from_numpy(scales.T.copy()).half()}


def mlx(matrix: np.ndarray, config: dict, options: dict) -> dict:
    bits, dtype = config["bits"], torch.bfloat16
    codes, scales, zeros = affine(matrix, bits, groups_of(matrix.shape[1], config["group_size"]), False, dtype)
    words = torch.from_numpy(pack(codes, bits).copy())
    return {
        "weight": words.view(torch.uint32),
        "scales": torch.from_numpy(scales).to(dtype),
        "biases": torch.from_numpy(-zeros * scales).to(dtype),
    }


METHODS = {"compressed-tensors": compressed_tensors, "fp8": fp8, "gptq": gptq, "awq": awq, "mlx": mlx}
