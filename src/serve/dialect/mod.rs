//! The dialects: how each client writes a request, and what it expects to read.
