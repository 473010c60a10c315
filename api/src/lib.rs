//! The control protocol shared by daemon, command line and other programs.
