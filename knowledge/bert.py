"""BERT as an ONNX graph, built from a checkpoint's weights.

Enters: the weights of a BERT encoder (arXiv 1810.04805; names as Hugging Face writes them), all in memory. Leaves: an
ONNX model that only names its weights, and the weights, which onnxruntime takes beside it without a copy on disk.
Run: `knowledge/embed.py` uses it.

Why not `torch.onnx.export`: it takes 10 s, PyTorch's memory and another package, and its result is the same graph.
Not guaranteed: fewer than two layers, relative positions, other activations than exact GELU, or token types but 0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, ValueInfoProto, helper

Weights = dict[str, NDArray[np.float32]]
# The vector of each word piece, looked up and never multiplied.
WORDS = "embeddings.word_embeddings.weight"


def bert_model(checkpoint: Weights, layers: int, heads: int, *, is_pooled: bool = True) -> tuple[bytes, Weights]:
    """Build the model: `input_ids` and `attention_mask` (b, s) in, `vectors` (b, d) of unit length out.

    `lower` (b, (layers - 1) · d) holds the same of every layer below the last, the lowest first, each of unit length.
    Unpooled, it gives `states` (b, s, d) instead, one vector per word piece. b texts, s word pieces, d dimensions. The
    model's weights are the second value; onnxruntime wants them as external initializers.

    Raises:
        KeyError: The checkpoint lacks a weight.
    """
    graph = _Graph(checkpoint, heads)
    state = graph.embed()
    hidden = graph.hide_padding()
    states = []
    for layer in range(layers):
        state = graph.layer(state, f"encoder.layer.{layer}.", hidden)
        states.append(state)
    outputs = graph.pool(states) if is_pooled else [graph.unpooled(state)]
    return graph.model(outputs), graph.weights


class _Graph:
    """The nodes so far. A method adds the nodes of one part and returns the name of their output."""

    def __init__(self, checkpoint: Weights, heads: int) -> None:
        self.weights: Weights = {}
        self._checkpoint = checkpoint
        self._heads = heads
        self._dimensions = checkpoint["embeddings.LayerNorm.weight"].shape[0]
        self._nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}

    def model(self, outputs: list[ValueInfoProto]) -> bytes:
        """The graph as onnxruntime reads it: (b, s) token ids and mask in, `outputs` out."""
        weights = [
            TensorProto(name=name, data_type=TensorProto.FLOAT, dims=array.shape, data_location=TensorProto.EXTERNAL)
            for name, array in self.weights.items()
        ]
        for tensor in weights:
            tensor.external_data.add(key="location", value="beside the graph")
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "s"])
            for name in ("input_ids", "attention_mask")
        ]
        initializers = [*weights, *self._constants.values()]
        graph = helper.make_graph(self._nodes, "bert", inputs, outputs, initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        return bytes(model.SerializeToString())

    def embed(self) -> str:
        words = self._op("Gather", self._weight(WORDS), "input_ids")
        # Every word piece is of segment 0, so that segment's embedding is added to the positions once and for all.
        positions = self._checkpoint["embeddings.position_embeddings.weight"]
        positions = positions + self._checkpoint["embeddings.token_type_embeddings.weight"][0]
        length = self._op("Shape", "input_ids", start=1)
        positions_read = self._op("Slice", self._array("positions", positions), self._ints(0), length, self._ints(0))
        return self._normalise(self._op("Add", words, positions_read), "embeddings.LayerNorm")

    def hide_padding(self) -> str:
        """(b, 1, 1, s): 0 for a word piece, a large negative number for padding, to be added to attention scores."""
        mask = self._op("Cast", "attention_mask", to=TensorProto.FLOAT)
        hidden = self._op("Mul", self._op("Sub", mask, self._number(1.0)), self._number(1e9))
        return self._op("Unsqueeze", hidden, self._ints(1, 2))

    def layer(self, state: str, name: str, hidden_bias: str) -> str:
        attended = self._linear(
            self._attention(state, f"{name}attention.self.", hidden_bias), f"{name}attention.output.dense"
        )
        state = self._normalise(self._op("Add", attended, state), f"{name}attention.output.LayerNorm")
        thought = self._op("Gelu", self._linear(state, f"{name}intermediate.dense"))
        output = self._linear(thought, f"{name}output.dense")
        return self._normalise(self._op("Add", output, state), f"{name}output.LayerNorm")

    def _attention(self, state: str, name: str, hidden_bias: str) -> str:
        size = self._dimensions // self._heads
        split = self._ints(0, -1, self._heads, size)

        def heads(part: str, order: list[int]) -> str:
            return self._op("Transpose", self._op("Reshape", self._linear(state, name + part), split), perm=order)

        query, value = heads("query", [0, 2, 1, 3]), heads("value", [0, 2, 1, 3])  # (b, h, s, size)
        key = heads("key", [0, 2, 3, 1])  # (b, h, size, s)
        scores = self._op("Mul", self._op("MatMul", query, key), self._number(size**-0.5))
        shares = self._op("Softmax", self._op("Add", scores, hidden_bias), axis=-1)  # (b, h, s, s)
        mixed = self._op("Transpose", self._op("MatMul", shares, value), perm=[0, 2, 1, 3])
        return self._op("Reshape", mixed, self._ints(0, -1, self._dimensions))

    def unpooled(self, state: str) -> ValueInfoProto:
        """The states of all word pieces, padding included, as the graph's output."""
        self._nodes.append(helper.make_node("Identity", [state], ["states"]))
        return helper.make_tensor_value_info("states", TensorProto.FLOAT, ["b", "s", self._dimensions])

    def pool(self, states: list[str]) -> list[ValueInfoProto]:
        """Of each layer the mean over word pieces that are no padding, scaled to length 1: the last, and the lower."""
        mask = self._op("Unsqueeze", self._op("Cast", "attention_mask", to=TensorProto.FLOAT), self._ints(2))
        count = self._op("ReduceSum", mask, self._ints(1), keepdims=0)

        def mean(state: str) -> str:
            total = self._op("ReduceSum", self._op("Mul", state, mask), self._ints(1), keepdims=0)
            return self._op("LpNormalization", self._op("Div", total, count), axis=-1, p=2)

        *lower, last = (mean(state) for state in states)
        self._nodes.append(helper.make_node("Identity", [last], ["vectors"]))
        self._nodes.append(helper.make_node("Concat", lower, ["lower"], axis=-1))
        widths = {"vectors": self._dimensions, "lower": self._dimensions * len(lower)}
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["b", width]) for name, width in widths.items()]

    def _linear(self, value: str, name: str) -> str:
        kernel = self._array(f"{name}.kernel", self._checkpoint[f"{name}.weight"].T)
        return self._op("Add", self._op("MatMul", value, kernel), self._weight(f"{name}.bias"))

    def _normalise(self, value: str, name: str) -> str:
        scale, shift = self._weight(f"{name}.weight"), self._weight(f"{name}.bias")
        return self._op("LayerNormalization", value, scale, shift, axis=-1, epsilon=1e-12)

    def _op(self, kind: str, *inputs: str, **attributes: int | float | list[int]) -> str:
        output = f"{kind}_{len(self._nodes)}"
        node = helper.make_node(kind, inputs, [output])
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self._nodes.append(node)
        return output

    def _weight(self, name: str) -> str:
        return self._array(name, self._checkpoint[name])

    def _array(self, name: str, array: NDArray[np.float32]) -> str:
        self.weights[name] = np.ascontiguousarray(array, dtype=np.float32)
        return name

    def _ints(self, *values: int) -> str:
        name = f"ints_{'_'.join(map(str, values))}"
        self._constants[name] = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        return name

    def _number(self, value: float) -> str:
        name = f"number_{value}"
        self._constants[name] = helper.make_tensor(name, TensorProto.FLOAT, [], [value])
        return name
