//! Inner IP packets: the few header fields that routing needs, parsed once.
