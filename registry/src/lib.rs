//! Which name: signed records, their merge and their spread.
