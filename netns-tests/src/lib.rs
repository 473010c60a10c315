//! The real binary in network namespaces.
