"""A trained model as a graph of ONNX, for programs without PyTorch."""
