//! `rerank serve`: the engine as an HTTP service.
//!
//! ```text
//! connection ─ bytes ─► dialect ─ RerankRequest ─► service: prompts ─ units ─► session ─ logits ─► dialect ─ bytes ─► connection
//! ```

mod dialect;
mod request;
