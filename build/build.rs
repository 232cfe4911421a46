//! Tells the crate the platform it runs on: xtask compiles kernels for it outside a build script.

fn main() {
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo:rustc-env=TILEFOLD_HOST={target}");
    println!("cargo:rerun-if-changed=build.rs");
}
