//! Sealed how, and the composition of nat, routing and registry into a Node.
