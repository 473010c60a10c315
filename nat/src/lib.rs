//! Where a peer is now: candidates, probes, paths.
