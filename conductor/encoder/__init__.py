"""The sentence encoder: its graph is written at build time from published weights and run by ONNX Runtime."""

from conductor.encoder.runtime import Encoder, EncoderMissing

__all__ = ["Encoder", "EncoderMissing"]
