//! Compiles formula files.
