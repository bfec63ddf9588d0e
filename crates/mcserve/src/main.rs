//! The reference model server: Open Inference Protocol v2 over REST, ONNX by tract.

fn main() {}
