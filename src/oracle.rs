//! Meaning: what the policies of a world say about every cell, and the story of one flow.
//!
//! [`predict`] reads all policies at once and answers a whole matrix; [`explain`] walks one flow through them, one
//! condition after the other, and tells what it met. The two are written apart on purpose and must agree: a test holds
//! them against each other, and both against a third reading that does nothing clever.
//!
//! What is read is networking.k8s.io/v1 NetworkPolicy as the API server would store it. Source: Kubernetes API
//! reference, "NetworkPolicy v1 networking.k8s.io", and the concept page "Network Policies". The places where the
//! manifest leaves something out:
//!
//! | left out | read as | where |
//! |---|---|---|
//! | `policyTypes`, or given without entries | Ingress; and Egress if there is an egress rule | `stance` |
//! | `from`/`to`, or given without entries | any peer, outside addresses too | `peers` |
//! | `ports`, or given without entries | every port of every protocol | `ports` |
//! | `protocol` of a port entry | TCP | `ports` |
//! | `port` of a port entry | every port of its protocol | `ports` |
//! | `namespaceSelector` beside a `podSelector` | the policy's own namespace | `peers` |
//!
//! A policy of a kind this room does not know makes meaning unknown for every flow it could touch: those from or to a
//! pod of its namespace, or of any namespace if it has none itself. That holds even where a NetworkPolicy alone would
//! decide the flow, because the unknown kind may come before it.
//!
//! A flow to a Service means what the flows to the pods behind it mean, if all of these mean the same.
//!
//! A meaning that could be the opposite with another address in the place of a planned one says so: see `planned`.
//!
//! Nothing here does I/O, reads a clock or can panic.

mod aims;
mod bits;
mod explain;
mod group;
mod index;
mod labels;
mod peers;
mod planned;
mod ports;
mod predict;
mod services;
mod side;
mod speakers;
mod stance;
mod transposed;
mod unknown;
mod view;

#[cfg(test)]
mod tests;

pub use explain::explain;
pub use predict::predict;
