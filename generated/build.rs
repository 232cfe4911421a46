//! Compiles the committed kernels, or takes their objects from the cache, and links them.

fn main() -> Result<(), tilefold_build::Error> {
    tilefold_build::link_generated(env!("CARGO_MANIFEST_DIR"))
}
