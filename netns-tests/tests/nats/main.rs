//! Nodes behind NATs of every kind. One program, because most of it waits for routers to forget: while one test waits another works.

mod behind_nat;
mod matrix;
