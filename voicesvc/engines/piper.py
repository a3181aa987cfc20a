"""A Piper voice (ONNX and its JSON) as a VITS pack: names and layout change, numbers do not."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from voicesvc.engines.tensors import check, expected, size_bytes
from voicesvc.errors import PackRefused
from voicesvc.packs import Description, Licence, Tensors, refused

Array = NDArray[Any]
UNSTATED = Licence(
    weights="not stated", data="not stated", note="Nothing was said about rights at import."
)
# What the exporter leaves among the initializers beside weights: shapes, indices, small numbers.
_FOLDED = re.compile(
    r"(/.*/|/)(Constant|Cast|ConstantOfShape|Mul)(_\d+)?_output_0"
    r"|onnx::(Split|ReduceSum|Slice)_\d+|\d+"
)
_FOLDED_MAX = 8  # numbers in one of them
_EXP_LOGS = "/dp/flows.0/Exp_output_0"  # exp(-logs), folded by the exporter
_PREFIXES = {
    "enc_p.": "text_encoder.",
    "dec.": "waveform_decoder.",
    "flow.": "flow.",
    "dp.": "duration_predictor.",
}


class _Graph:
    """The initializers of an ONNX graph, and the convolutions that use them."""

    def __init__(self, path: Path) -> None:
        import onnx
        from google.protobuf.message import DecodeError

        try:
            graph = onnx.load(path, load_external_data=False).graph
            self.values: dict[str, Array] = {
                i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer
            }
        except (OSError, DecodeError, ValueError, TypeError) as e:
            raise PackRefused(f"{path}: cannot be read as ONNX: {e}") from e
        self.path = path
        self.renamed: dict[str, str] = {}  # initializer -> the name its place in the graph gives
        self.convs: dict[str, dict[str, Any]] = {}
        for node in graph.node:
            if node.op_type in ("Conv", "ConvTranspose") and len(node.input) == 3:
                # A folded weight norm leaves the weight without a name; the bias keeps its own.
                name = node.input[2].removesuffix(".bias")
                self.renamed[node.input[1]] = f"{name}.weight"
                self.convs[name] = {
                    a.name: onnx.helper.get_attribute_value(a) for a in node.attribute
                }
            elif node.op_type == "Gather" and list(node.input[1:]) == ["input"]:
                self.renamed[node.input[0]] = "enc_p.emb.weight"

    def weights(self) -> dict[str, Array]:
        """Piper's names -> weights; every initializer is one of them or a known constant."""
        out: dict[str, Array] = {}
        for raw, value in self.values.items():
            name = self.renamed.get(raw, raw)
            if name == _EXP_LOGS:
                # In double: the same float32 whichever way a CPU computes logarithms.
                out["dp.flows.0.logs"] = (-np.log(value.astype(np.float64))).astype(np.float32)
            elif name.startswith(tuple(_PREFIXES)) and name not in out:
                out[name] = value
            elif not _FOLDED.fullmatch(name) or value.size > _FOLDED_MAX:
                raise PackRefused(f"{self.path}: tensor {name} is not known", where=name)
        return out


def _coqui_name(name: str) -> str:
    prefix = next(p for p in _PREFIXES if name.startswith(p))
    rest = name.removeprefix(prefix)
    if match := re.match(r"flows\.(\d+)\.(.*)", rest):
        # Piper keeps the flips between flows in the list, coqui does them in `forward`.
        index = int(match[1]) // 2 if prefix == "flow." else (int(match[1]) + 1) // 2
        inner = match[2]
        if prefix == "dp." and index == 0:
            inner = {"m": "translation", "logs": "log_scale"}.get(inner, inner)
        rest = f"flows.{index}.{inner}"
    return _PREFIXES[prefix] + rest


def _count(values: dict[str, Array], pattern: str) -> int:
    return len({m[1] for name in values if (m := re.fullmatch(pattern, name))})


def _network(graph: _Graph, values: dict[str, Array]) -> dict[str, Any]:
    """The fields of `Vits` that the shapes and the graph's attributes tell."""
    embedding = values["enc_p.emb.weight"]
    layers = "enc_p.encoder.attn_layers"
    ffn = values["enc_p.encoder.ffn_layers.0.conv_1.weight"]
    in_layers = "flow.flows.0.enc.in_layers"
    n_ups = _count(values, r"dec\.ups\.(\d+)\.weight")
    ups = [f"dec.ups.{i}" for i in range(n_ups)]
    n_kernels = _count(values, r"dec\.resblocks\.(\d+)\..*") // n_ups
    two = "dec.resblocks.0.convs.0.weight" in values
    convs = "convs" if two else "convs1"
    n_dilations = _count(values, rf"dec\.resblocks\.0\.{convs}\.(\d+)\.weight")
    blocks = [f"dec.resblocks.{i}.{convs}" for i in range(n_kernels)]
    second = f"{in_layers}.1"
    return {
        "num_chars": embedding.shape[0],
        "hidden_channels": embedding.shape[1],
        "hidden_channels_ffn_text_encoder": ffn.shape[0],
        "num_heads_text_encoder": embedding.shape[1] // values[f"{layers}.0.emb_rel_k"].shape[2],
        "num_layers_text_encoder": _count(values, r"enc_p\.encoder\.attn_layers\.(\d+)\..*"),
        "kernel_size_text_encoder": ffn.shape[2],
        "kernel_size_flow": values[f"{in_layers}.0.weight"].shape[2],
        "dilation_rate_flow": graph.convs[second]["dilations"][0] if second in graph.convs else 1,
        "num_layers_flow": _count(values, rf"{re.escape(in_layers)}\.(\d+)\.weight"),
        "resblock_type_decoder": "2" if two else "1",
        "resblock_kernel_sizes_decoder": [values[f"{b}.0.weight"].shape[2] for b in blocks],
        "resblock_dilation_sizes_decoder": [
            [graph.convs[f"{b}.{i}"]["dilations"][0] for i in range(n_dilations)] for b in blocks
        ],
        "upsample_rates_decoder": [graph.convs[u]["strides"][0] for u in ups],
        "upsample_initial_channel_decoder": values["dec.conv_pre.weight"].shape[0],
        "upsample_kernel_sizes_decoder": [values[f"{u}.weight"].shape[2] for u in ups],
        "use_sdp": True,
    }


def _text(config: dict[str, Any]) -> dict[str, Any]:
    kind = config.get("phoneme_type", "espeak")
    phonemizers = {"espeak": "espeak", "text": "graphemes"}
    if kind not in phonemizers:
        raise ValueError(f"phoneme_type {kind!r} is not one of {list(phonemizers)}")
    ids: dict[str, list[int]] = config["phoneme_id_map"]
    several = [symbol for symbol, value in ids.items() if len(value) != 1]
    if several:
        raise ValueError(f"phoneme_id_map gives more than one id for {several}")
    symbols = [""] * (max(value[0] for value in ids.values()) + 1)
    for symbol, (index,) in ids.items():
        symbols[index] = symbol
    return {
        "phonemizer": phonemizers[kind],
        "symbols": symbols,
        "pad": "_",
        "bos": "^",
        "eos": "$",
        "blank": "_",
        "add_blank": True,
        "use_bos_eos": True,
    }


def from_piper(
    onnx_path: Path, actor_id: str, *, name: str | None = None, licence: Licence | None = None
) -> tuple[Description, Tensors]:
    """Convert a single-speaker Piper voice; its JSON lies beside it as `<file>.onnx.json`.

    Without a licence the voice is marked as a demonstration.

    Raises:
        PackRefused: not a Piper voice, several speakers, or a tensor missing or unknown.
    """
    config_path = Path(f"{onnx_path}.json")
    try:
        config: dict[str, Any] = json.loads(config_path.read_text("utf-8"))
        speakers = config.get("num_speakers", 1)
        if speakers != 1:
            raise ValueError(f"{speakers} speakers; only single-speaker voices are served")
        inference = config["inference"]
        said = {
            "actor_id": actor_id,
            "name": name or config.get("dataset") or actor_id,
            "language": config["espeak"]["voice"].lower(),
            "sample_rate_hz": config["audio"]["sample_rate"],
            "demonstration": licence is None,
            "licence": (licence or UNSTATED).model_dump(),
            "text": _text(config),
        }
        scales = {
            "noise_scale": inference["noise_scale"],
            "noise_scale_dp": inference["noise_w"],
            "length_scale": inference["length_scale"],
        }
    except OSError as e:
        raise PackRefused(f"{config_path}: {e.strerror}") from e
    except KeyError as e:
        raise PackRefused(f"{config_path}: has no {e}") from e
    except (ValueError, TypeError, AttributeError) as e:
        raise PackRefused(f"{config_path}: {e}") from e
    graph = _Graph(onnx_path)
    weights = graph.weights()
    try:
        network = _network(graph, weights)
    except (KeyError, ZeroDivisionError, IndexError) as e:
        raise PackRefused(f"{onnx_path}: is not a Piper VITS voice: no {e}") from e
    values = {_coqui_name(k): v for k, v in weights.items()}
    described = {
        **said,
        "resident_bytes": size_bytes(values),
        "vits": {**network, **scales},
    }
    try:
        description = Description.model_validate_json(json.dumps(described))
    except ValidationError as e:
        raise refused(config_path, e, Description) from e
    check(expected(description.vits_network), values, onnx_path)
    return description, values
