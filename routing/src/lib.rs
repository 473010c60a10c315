//! Who has an address: prefixes, address ranges, source check.
