"""Writes a BERT sentence encoder as an ONNX graph with per-channel int8 weights, from plain numpy arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 20
"""The first with `Gelu`; `LayerNormalization` is there since 17."""

Array = np.ndarray[Any, Any]


class GraphWriter:
    """Collects nodes and weights. Every method that computes returns the name of its result."""

    def __init__(self, quantize: bool) -> None:
        self.quantize = quantize
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._known: set[str] = set()

    def weight(self, name: str, value: Array) -> str:
        """Adds an initializer once."""
        if name not in self._known:
            self._known.add(name)
            self.weights.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def ints(self, *values: int) -> str:
        """A constant vector of int64."""
        return self.weight("i_" + "_".join(map(str, values)), np.array(values, dtype=np.int64))

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Appends a node; the further outputs are named `NAME.1`, `NAME.2`, …"""
        name = f"{kind.lower()}_{len(self.nodes)}"
        names = [name] + [f"{name}.{k}" for k in range(1, outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return name

    def linear(self, name: str, x: str, weight: Array, bias: Array) -> str:
        """`x @ weight.T + bias`; quantized, the activations are u8 by tensor and the weights s8 by column."""
        matrix = weight.T.astype(np.float32)
        if not self.quantize:
            product = self.op("MatMul", x, self.weight(name + ".w", matrix))
            return self.op("Add", product, self.weight(name + ".b", bias))
        scale = np.abs(matrix).max(axis=0) / 127.0
        scale[scale == 0.0] = 1.0
        rounded = np.clip(np.rint(matrix / scale), -127, 127).astype(np.int8)
        quantized = self.op("DynamicQuantizeLinear", x, outputs=3)
        product = self.op("MatMulInteger", quantized, self.weight(name + ".w", rounded), f"{quantized}.2")
        column = self.weight(name + ".scale", scale.astype(np.float32))
        factor = self.op("Mul", f"{quantized}.1", column)
        product = self.op("Mul", self.op("Cast", product, to=TensorProto.FLOAT), factor)
        return self.op("Add", product, self.weight(name + ".b", bias))

    def table(self, name: str, rows: str, weight: Array) -> str:
        """Looks rows up; quantized, each row is s8 with a scale of its own."""
        if not self.quantize:
            return self.op("Gather", self.weight(name, weight), rows)
        scale = np.abs(weight).max(axis=1, keepdims=True) / 127.0
        scale[scale == 0.0] = 1.0
        rounded = np.clip(np.rint(weight / scale), -127, 127).astype(np.int8)
        found = self.op("Gather", self.weight(name, rounded), rows)
        scales = self.op("Gather", self.weight(name + ".scale", scale.astype(np.float32)), rows)
        return self.op("Mul", self.op("Cast", found, to=TensorProto.FLOAT), scales)

    def layer_norm(self, name: str, x: str, weights: Mapping[str, Array], epsilon: float) -> str:
        """Layer normalisation over the last axis."""
        scale = self.weight(name + ".weight", weights[name + ".weight"])
        shift = self.weight(name + ".bias", weights[name + ".bias"])
        return self.op("LayerNormalization", x, scale, shift, axis=-1, epsilon=epsilon)


def sentence_encoder(
    weights: Mapping[str, Array], *, heads: int, epsilon: float, quantize: bool = True
) -> onnx.ModelProto:
    """The whole encoder: token ids and mask in, unit sentence vectors out.

    `weights` has the names of a BERT checkpoint. Inputs are `ids` and `mask`, int64 `[batch, length]`;
    the output `vectors` is float32 `[batch, hidden]`: the mean over unmasked tokens, scaled to length 1
    (Reimers and Gurevych 2019, Sentence-BERT). The output `states` is `[batch, length, 2 * hidden]`, what each
    token has become after half of the layers and after all: the span reader's input.
    """
    g = GraphWriter(quantize)
    words = weights["embeddings.word_embeddings.weight"]
    hidden = words.shape[1]
    layers = len({k.split(".")[2] for k in weights if k.startswith("encoder.layer.")})
    x = _embeddings(g, weights, epsilon)
    far = g.op(
        "Sub", g.weight("one", np.array(1, dtype=np.float32)), g.op("Cast", "mask", to=TensorProto.FLOAT)
    )
    penalty = g.op("Mul", far, g.weight("far", np.array(-1e9, dtype=np.float32)))
    penalty = g.op("Unsqueeze", penalty, g.ints(1, 2))
    half = x
    for layer in range(layers):
        x = _layer(g, weights, f"encoder.layer.{layer}.", x, penalty, heads, hidden, epsilon)
        half = x if layer + 1 == layers // 2 else half
    vectors = _pool(g, x)
    g.nodes.append(helper.make_node("Identity", [vectors], ["vectors"]))
    g.nodes.append(helper.make_node("Concat", [half, x], ["states"], axis=-1))
    shape = ["batch", "length"]
    graph = helper.make_graph(
        g.nodes,
        "sentence_encoder",
        [helper.make_tensor_value_info(n, TensorProto.INT64, shape) for n in ("ids", "mask")],
        [
            helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["batch", hidden]),
            helper.make_tensor_value_info("states", TensorProto.FLOAT, [*shape, 2 * hidden]),
        ],
        g.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def _embeddings(g: GraphWriter, weights: Mapping[str, Array], epsilon: float) -> str:
    """Word plus position plus the embedding of the first (and only) segment."""
    words = g.table("words", "ids", weights["embeddings.word_embeddings.weight"])
    segment = weights["embeddings.token_type_embeddings.weight"][0]
    places = weights["embeddings.position_embeddings.weight"] + segment
    length = g.op("Slice", g.op("Shape", "ids"), g.ints(1), g.ints(2), g.ints(0))
    places_used = g.op("Slice", g.weight("places", places), g.ints(0), length, g.ints(0))
    return g.layer_norm("embeddings.LayerNorm", g.op("Add", words, places_used), weights, epsilon)


def _layer(
    g: GraphWriter,
    weights: Mapping[str, Array],
    prefix: str,
    x: str,
    penalty: str,
    heads: int,
    hidden: int,
    epsilon: float,
) -> str:
    """One transformer layer; queries, keys and values come from one product."""
    parts = [f"{prefix}attention.self.{part}." for part in ("query", "key", "value")]
    size = hidden // heads
    # The division by the square root of the head size moves into the query's weights.
    factors = (1.0 / np.sqrt(size).astype(np.float32), np.float32(1), np.float32(1))
    pairs = list(zip(parts, factors, strict=True))
    joined = np.concatenate([weights[p + "weight"] * f for p, f in pairs])
    bias = np.concatenate([weights[p + "bias"] * f for p, f in pairs])
    qkv = g.linear(prefix + "qkv", x, joined, bias)
    qkv = g.op("Reshape", qkv, g.ints(0, 0, 3, heads, size))
    qkv = g.op("Transpose", qkv, perm=[2, 0, 3, 1, 4])
    query, key, value = (g.op("Gather", qkv, g.weight(f"n{i}", np.array(i)), axis=0) for i in range(3))
    scores = g.op("MatMul", query, g.op("Transpose", key, perm=[0, 1, 3, 2]))
    attention = g.op("Softmax", g.op("Add", scores, penalty), axis=-1)
    mixed = g.op("Transpose", g.op("MatMul", attention, value), perm=[0, 2, 1, 3])
    mixed = g.op("Reshape", mixed, g.ints(0, 0, hidden))
    name = prefix + "attention.output."
    mixed = g.linear(name + "dense", mixed, weights[name + "dense.weight"], weights[name + "dense.bias"])
    x = g.layer_norm(name + "LayerNorm", g.op("Add", mixed, x), weights, epsilon)
    name = prefix + "intermediate.dense"
    wide = g.op("Gelu", g.linear(name, x, weights[name + ".weight"], weights[name + ".bias"]))
    name = prefix + "output."
    narrow = g.linear(name + "dense", wide, weights[name + "dense.weight"], weights[name + "dense.bias"])
    return g.layer_norm(name + "LayerNorm", g.op("Add", narrow, x), weights, epsilon)


def _pool(g: GraphWriter, x: str) -> str:
    """The mean over unmasked tokens, scaled to length 1."""
    mask = g.op("Unsqueeze", g.op("Cast", "mask", to=TensorProto.FLOAT), g.ints(2))
    total = g.op("ReduceSum", g.op("Mul", x, mask), g.ints(1), keepdims=0)
    mean = g.op("Div", total, g.op("ReduceSum", mask, g.ints(1), keepdims=0))
    norm = g.op("ReduceL2", mean, g.ints(1), keepdims=1)
    return g.op("Div", mean, norm)
