//! GGUF, the format of llama.cpp: metadata, and tensors in blocks.

#![expect(dead_code, unused_imports, reason = "what reads the tensors and the tokenizer comes next")]

mod cursor;
mod metadata;

pub(crate) use metadata::{Metadata, Value};
