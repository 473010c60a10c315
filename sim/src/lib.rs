//! Nodes in virtual time: seeded networks with delay, loss, duplication, reordering and partition.
