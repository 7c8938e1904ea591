"""A detector as an ONNX file, for programs that have no torch."""
