"""The kinds of modules that a model is made of, and its graph by ``torch.fx``."""

from __future__ import annotations

from typing import Any

from torch import fx, nn

from .types import LSTM, RNN, Activation, Attention, BatchNorm, Convolution, Embedding, Kind, Linear, ModuleType, Pool

DEFAULT_MODULE_TYPES_TO_DETECT = (Linear, Convolution, RNN, LSTM, Attention, Embedding)

__all__ = [
    "DEFAULT_MODULE_TYPES_TO_DETECT",
    "LSTM",
    "RNN",
    "Activation",
    "Attention",
    "BatchNorm",
    "Convolution",
    "Embedding",
    "Linear",
    "ModuleType",
    "Pool",
    "detect_model_architecture",
    "extract_graph_data",
    "symbolic_trace",
]


def detect_model_architecture(model: nn.Module, targets: tuple[Kind, ...] | None = None) -> set[Kind]:
    """Returns the kinds of the modules of a model; the empty set for a function or a model without any.

    ``asc.describe`` finds what a model is made of from the operations that run, and so sees attention and recurrence without modules.
    """
    kinds = DEFAULT_MODULE_TYPES_TO_DETECT if targets is None else targets
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    return {kind for kind in kinds if any(isinstance(module, kind) for module in modules)}


class AttentionIsLeaf(fx.Tracer):
    """A tracer that does not look into attention, whose code branches on shapes."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Returns True for modules of PyTorch and attention."""
        return bool(super().is_leaf_module(m, module_qualified_name)) or isinstance(m, Attention)


def symbolic_trace(model: nn.Module) -> fx.GraphModule:
    """Returns the model with its graph by ``torch.fx``. Raises what it raises for models whose code branches on values."""
    tracer = AttentionIsLeaf()
    return fx.GraphModule(tracer.root if hasattr(tracer, "root") else model, tracer.trace(model), type(model).__name__)


def extract_graph_data(graph_module: fx.GraphModule) -> dict[str, list[dict[str, str]]]:
    """Returns the nodes (name, op, target) and edges (source, target) of a graph, for drawing it."""
    modules = dict(graph_module.named_modules())

    def target(node: fx.Node) -> str:
        if node.op == "get_attr":
            return f"getattr(self, {node.target})"
        found: Any = modules[str(node.target)] if node.op == "call_module" else node.target
        return str(found)

    nodes = [{"name": node.name, "op": node.op, "target": target(node)} for node in graph_module.graph.nodes]
    edges = [{"source": node.name, "target": user.name} for node in graph_module.graph.nodes for user in node.users]
    return {"nodes": nodes, "edges": edges}
