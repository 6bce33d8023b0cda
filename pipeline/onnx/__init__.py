"""A generator as an ONNX graph: written by torch, read by onnxruntime."""
