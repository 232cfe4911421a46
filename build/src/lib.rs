//! Builds formula files: generated text, a static library a formula, and Rust declarations.
//!
//! In: a folder of `.fold` files. Out: a folder of generated text with a manifest, archives of the
//! objects compiled from it, and the lines that make cargo link them. `cargo xtask` and build
//! scripts call the same functions, so a formula builds alike in this repository and in yours.
//!
//! It never runs a shell, never leaves a half-written file where a reader could find it, and never
//! uses an object or an archive whose hash it has not checked.
//!
//! A build script that links its own formulas:
//!
//! ```no_run
//! fn main() -> Result<(), tilefold_build::Error> {
//!     tilefold_build::Config::new().formulas("formulas").compile()
//! }
//! ```

#[cfg(feature = "bindgen")]
pub mod bindings;
#[cfg(feature = "compile")]
mod config;
mod error;
mod files;
mod link;
mod lock;
pub mod manifest;
pub mod native;
pub mod process;
pub mod progress;
mod sources;
pub mod text;
pub mod toolchain;

#[cfg(feature = "compile")]
pub use config::Config;
pub use error::Error;
pub use link::{
    Images, cache_folder, is_target_folder, link_generated, target_folder, toolchain_folder,
};
pub use sources::{Source, read_formulas};
