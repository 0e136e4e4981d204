"""Linear layers of a transformers model as `--dtype fp8` computes them: in E4M3, with a scale for each output of a weight and for each
row of activations. The last layer and the head stay as they are.

With torch alone, on any device: the numbers are rounded and widened again, and products are those of the widened numbers.
"""

import torch

LARGEST = 448.0


def rounded(rows: torch.Tensor) -> torch.Tensor:
    """Rows whose largest value becomes the largest number of E4M3."""
    scale = rows.float().abs().amax(-1, keepdim=True) / LARGEST
    scale = torch.where(scale > 0, scale, 1.0)
    return (rows.float() / scale).to(torch.float8_e4m3fn).float() * scale


def round_linear_layers(network: torch.nn.Module) -> None:
    """Changes the linear layers of all layers of a language model but the last."""
    for layer in network.model.layers[:-1]:
        for linear in (module for module in layer.modules() if isinstance(module, torch.nn.Linear)):
            weight = rounded(linear.weight.data)

            def forward(values, weight=weight, bias=linear.bias):
                results = rounded(values) @ weight.T
                return (results if bias is None else results + bias).to(values.dtype)

            linear.forward = forward
