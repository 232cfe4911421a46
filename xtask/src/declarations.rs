//! The committed Rust declarations of the C descriptor.
//!
//! In: the header in templates/. Out: the file in runtime/ that bindgen makes of it. libclang is
//! needed only when the header has changed.

use std::fs;
use std::path::{Path, PathBuf};

use tilefold_build::Error;
use tilefold_build::bindings::Headers;
use tilefold_build::progress::Progress;
use tilefold_build::text::write_file;
use tilefold_build::toolchain::{self, Finding};

use crate::bars::Bars;
use crate::root;

const HEADER: &str = "tf_abi.h";
const DECLARATIONS: &str = "runtime/src/sys.rs";

const HEAD: &str = "\
//! The Rust side of `templates/include/tf_abi.h`: types and constants, no code.

#![allow(non_camel_case_types, missing_docs)]

";

/// Makes the declarations anew if the header changed.
pub fn update(tools: &Path, bars: &Bars) -> Result<(), Error> {
    let old = fs::read_to_string(path()).ok();
    if let (None, Finding::Found(tool)) =
        (std::env::var_os("LIBCLANG_PATH"), toolchain::find_libclang(tools))
    {
        // SAFETY: xtask has started no thread yet, so nobody reads the environment meanwhile.
        unsafe { std::env::set_var("LIBCLANG_PATH", &tool.path) };
    }
    let new = headers()?.declare(old.as_deref())?;
    if write_file(&path(), &new)? {
        bars.note(&format!("{DECLARATIONS}: made anew"));
    }
    Ok(())
}

/// An error if the declarations are not those of the header. Writes nothing.
pub fn check() -> Result<(), Error> {
    let old = fs::read_to_string(path()).unwrap_or_default();
    match headers()?.is_current(&old) {
        true => Ok(()),
        false => Err(Error::Stale {
            dir: DECLARATIONS.into(),
            list: format!("  it was not made from {HEADER} as it is now\n"),
            command: "`cargo xtask build-formulas`".into(),
        }),
    }
}

fn path() -> PathBuf {
    root().join(DECLARATIONS)
}

fn headers() -> Result<Headers, Error> {
    let path = root().join("templates/include").join(HEADER);
    let text =
        fs::read_to_string(&path).map_err(|source| Error::Io { action: "read", path, source })?;
    Ok(Headers { texts: [(HEADER.to_string(), text)].into(), head: HEAD.into() })
}
