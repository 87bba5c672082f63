"""The encoder in two parts: states of its lower layers by ONNX Runtime, its upper layers as torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, numpy_helper
from tokenizers import Encoding, Tokenizer
from torch import Tensor, nn

from conductor.encoder.runtime import EncoderMissing, encoder_files

Array = np.ndarray[Any, Any]

WIDTH, HEADS, LAYERS = 384, 12, 6
SHORT = bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
"""Whether products of 16-bit numbers are the processor's own, and then more than twice as fast."""
ROUND = 256
"""Rows of tokens are worked on in multiples of so many."""


class LowerLayers:
    """Runs the built encoder and answers with the states of its tokens after some of its layers.

    Args:
        folder: as `conductor.encoder.build` writes it. Raises EncoderMissing.
        depths: after how many layers; 6 are the states that a sentence vector is the mean of.
        longest: tokens of a text that count.
    """

    def __init__(self, folder: Path, depths: Sequence[int], longest: int = 160) -> None:
        graph, vocabulary = encoder_files(folder)
        self.model = onnx.load(str(graph))
        norms = [node.output[0] for node in self.model.graph.node if node.op_type == "LayerNormalization"]
        if len(norms) != 1 + 2 * LAYERS:
            raise EncoderMissing(f"The encoder {graph} is of another kind", remedy="run `make build`")
        self._outputs = [norms[2 * depth] for depth in depths]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            _cut(self.model, self._outputs).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._inputs = {one.name for one in self._session.get_inputs()}
        self.tokenizer = Tokenizer.from_file(str(vocabulary))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(longest)

    def states(self, texts: Sequence[str]) -> tuple[list[list[Array]], list[Encoding]]:
        """For each depth and text its tokens' states, float32 `[tokens, 384]`; and the tokens with their places."""
        encoded = self.tokenizer.encode_batch(list(texts))
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            each = list(pool.map(self._states_of, encoded))
        return [[states[depth] for states in each] for depth in range(len(self._outputs))], encoded

    def _states_of(self, text: Encoding) -> list[Array]:
        """Each depth's states `[tokens, 384]` of one text."""
        ids = np.array([text.ids], dtype=np.int64)
        feeds = {n: v for n, v in (("ids", ids), ("mask", np.ones_like(ids))) if n in self._inputs}
        return [state[0] for state in self._session.run(self._outputs, feeds)]


def sentence_vectors(states: Sequence[Array]) -> Array:
    """Unit vectors `[texts, 384]`: the mean of the last layer's states, as the encoder makes it."""
    means = np.stack([one.mean(axis=0) for one in states]) if states else np.zeros((0, WIDTH), np.float32)
    return np.asarray(means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9), np.float32)


def _cut(model: onnx.ModelProto, outputs: Sequence[str]) -> onnx.ModelProto:
    """The part of the graph that leads to these states."""
    makers = {name: node for node in model.graph.node for name in node.output}
    needed: set[str] = set()
    open_names = list(outputs)
    while open_names:
        name = open_names.pop()
        if name in needed:
            continue
        needed.add(name)
        if name in makers:
            open_names += list(makers[name].input)
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    for field in ("node", "initializer", "input", "output"):
        cut.graph.ClearField(field)
    cut.graph.node.extend(node for node in model.graph.node if set(node.output) & needed)
    cut.graph.initializer.extend(one for one in model.graph.initializer if one.name in needed)
    cut.graph.input.extend(one for one in model.graph.input if one.name in needed)
    cut.graph.output.extend(onnx.helper.make_tensor_value_info(o, TensorProto.FLOAT, None) for o in outputs)
    return cut


class Layer(nn.Module):  # type: ignore[misc]  # torch is not typed
    """One layer of BERT (post-norm), with queries, keys and values from one product as in the graph."""

    def __init__(self, arrays: dict[str, Array], dropout: float) -> None:
        super().__init__()
        self.qkv = _linear(arrays, "qkv")
        self.mix = _linear(arrays, "attention.output.dense")
        self.mix_norm = _norm(arrays, "attention.output.LayerNorm")
        self.widen = _linear(arrays, "intermediate.dense")
        self.narrow = _linear(arrays, "output.dense")
        self.norm = _norm(arrays, "output.LayerNorm")
        self.dropout = dropout

    def forward(self, x: Tensor, real: Tensor, far: Tensor) -> Tensor:
        """`x` `[real tokens, 384]` of all texts; `real` are their places among all `batch * tokens`.

        `far` `[batch, 1, 1, tokens]` is added to attention scores.
        """
        batch, tokens = len(far), far.shape[-1]
        packed = self.qkv(x)
        qkv = packed.new_zeros(batch * tokens, 3 * WIDTH).index_copy(0, real, packed)
        qkv = qkv.view(batch, tokens, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        # The scale is part of the query's weights. Spelt out: in 16 bits torch's fused attention goes
        # backward on a processor four times slower than these products.
        likeness = qkv[0] @ qkv[1].transpose(-1, -2) + far.to(qkv.dtype)
        mixed = torch.softmax(likeness, dim=-1) @ qkv[2]
        mixed = self.mix(mixed.transpose(1, 2).reshape(-1, WIDTH).index_select(0, real))
        x = self.mix_norm(x + self._dropped(mixed))
        wide = self.narrow(nn.functional.gelu(self.widen(x)))
        normed: Tensor = self.norm(x + self._dropped(wide))
        return normed

    def _dropped(self, x: Tensor) -> Tensor:
        """Dropout from one random byte a number; torch's own draws several times as long."""
        if not self.training:
            return x
        eighth = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        bits = eighth.view(torch.uint8)[: x.numel()].view(x.shape)
        below = round(256 * self.dropout)
        return x * ((bits >= below) * (256.0 / (256 - below)))


class UpperLayers(nn.Module):  # type: ignore[misc]  # torch is not typed
    """The layers from `first` on, with the built encoder's weights, to be trained further."""

    def __init__(self, model: onnx.ModelProto, first: int, dropout: float = 0.1) -> None:
        super().__init__()
        stored = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        self.layers = nn.ModuleList(
            Layer(_arrays_of(stored, f"encoder.layer.{place}."), dropout) for place in range(first, LAYERS)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """States of the last layer `[batch, tokens, 384]`; `mask` `[batch, tokens]` is true for real tokens."""
        far = torch.zeros(mask.shape, dtype=x.dtype).masked_fill(~mask, -1e9)[:, None, None, :]
        real = _round_places(mask)
        packed = x.flatten(0, 1).index_select(0, real)
        with torch.autocast("cpu", torch.bfloat16, enabled=SHORT):
            for layer in self.layers:
                packed = layer(packed, real, far)
        return torch.zeros_like(x).flatten(0, 1).index_copy(0, real, packed.float()).view(x.shape)


def _round_places(mask: Tensor) -> Tensor:
    """The places of the real tokens and, to fill the last `ROUND`, of some that are none.

    For each number of rows that it meets torch makes and keeps other machine code, 2 MB of it at a time.
    """
    real, other = mask.flatten().nonzero()[:, 0], (~mask).flatten().nonzero()[:, 0]
    return torch.cat([real, other[: -len(real) % ROUND]])


def _arrays_of(stored: dict[str, Array], prefix: str) -> dict[str, Array]:
    """A layer's arrays under short names, 8-bit ones brought back to 32 bits by their columns' scales."""
    arrays = {name.removeprefix(prefix): value for name, value in stored.items() if name.startswith(prefix)}
    for name in [n for n in arrays if n.endswith(".w")]:
        scale = arrays.get(name.removesuffix(".w") + ".scale", np.ones(1, dtype=np.float32))
        arrays[name] = arrays[name].astype(np.float32) * scale
    return arrays


def _linear(arrays: dict[str, Array], name: str) -> nn.Linear:
    weight = arrays[name + ".w"].T
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(weight)))
        layer.bias.copy_(torch.from_numpy(np.array(arrays[name + ".b"])))
    return layer


def _norm(arrays: dict[str, Array], name: str) -> nn.LayerNorm:
    layer = nn.LayerNorm(WIDTH, eps=1e-12)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.array(arrays[name + ".weight"])))
        layer.bias.copy_(torch.from_numpy(np.array(arrays[name + ".bias"])))
    return layer


def padded(states: Sequence[Array]) -> tuple[Tensor, Tensor]:
    """Texts of different lengths as `[batch, tokens, 384]` and the mask of real tokens."""
    longest = max(len(one) for one in states)
    x = np.zeros((len(states), longest, WIDTH), dtype=np.float32)
    mask = np.zeros((len(states), longest), dtype=bool)
    for row, one in enumerate(states):
        x[row, : len(one)], mask[row, : len(one)] = one, True
    return torch.from_numpy(x), torch.from_numpy(mask)
