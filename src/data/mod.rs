//! The data path: bus -> Reading -> filter -> outbox -> encode -> publish. It runs without a cluster.
