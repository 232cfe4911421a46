//! Every code of an error is seen: by a row of the table, or by a test that is named here.

use std::collections::BTreeSet;

use tilefold::Code;

use crate::{calls, descriptors, others};

/// Every row that is compiled.
fn table() -> Vec<(&'static str, Code)> {
    [
        calls::TABLE,
        descriptors::TABLE,
        descriptors::stale::TABLE,
        others::TABLE,
        #[cfg(feature = "lazy")]
        others::expressions::TABLE,
        #[cfg(feature = "text")]
        others::strings::TABLE,
    ]
    .concat()
}

#[test]
fn every_row_is_a_misuse_of_its_own() {
    let table = table();
    let names: BTreeSet<&str> = table.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), table.len(), "two rows of one name");
    assert!(names.iter().all(|name| name.starts_with("misuse_")));
}

/// All rows are there with the features `lazy` and `text`, which are on where this repository is
/// tested.
#[cfg(feature = "text")]
mod all {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use tilefold::Code;

    /// Codes that need more than a bad call: a driver that fails, threads that do not start.
    const ELSEWHERE: &[(Code, &str, &str)] = &[
        (Code::NoDevice, "tests/tests/devices/typed.rs", "auto_takes_the_device_where_it_can"),
        (Code::NoImage, "tests/tests/devices/typed.rs", "auto_takes_the_device_where_it_can"),
        (Code::Device, "tests/tests/devices/faults.rs", "every_failure_of_the_driver_is_an_error"),
        (Code::DeviceArgument, "tests/tests/devices/streams.rs", "bad_arguments"),
        (Code::Threads, "runtime/src/host/pool.rs", "a_failed_start_is_an_error"),
        (Code::NoCompiler, "tests/tests/jit/damage.rs", "no_compiler"),
        (Code::Compilation, "tests/tests/jit/damage.rs", "compilers_that_fail"),
        (Code::Uncompilable, "tests/tests/jit/sharing.rs", "names_are_data"),
        (Code::Record, "tests/tests/record.rs", "files_that_are_no_formula_files_are_left_alone"),
    ];

    #[test]
    fn every_code_is_seen() {
        let table = super::table();
        assert!(table.len() >= 120, "{} rows", table.len());
        let rows: BTreeSet<Code> = table.into_iter().map(|(_, code)| code).collect();
        for &(code, file, test) in ELSEWHERE {
            let text =
                fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file));
            let text = text.unwrap_or_else(|e| panic!("{file}: {e}"));
            let at =
                text.find(&format!("fn {test}()")).unwrap_or_else(|| panic!("no {test} in {file}"));
            let end = text[at..].find("\n}\n").or_else(|| text[at..].find("\n    }\n"));
            let body = &text[at..at + end.expect("a body")];
            let sees =
                [format!("Code::{code:?}"), code.to_string()].iter().any(|c| body.contains(c));
            assert!(sees, "{test} in {file} sees no {code:?}");
        }
        let seen =
            |code: &&Code| !rows.contains(code) && !ELSEWHERE.iter().any(|(c, ..)| c == *code);
        let missing: Vec<&Code> = Code::ALL.iter().filter(seen).collect();
        assert!(missing.is_empty(), "codes without a test: {missing:?}");
    }
}
