//! The generated methods of LazyTensor are what the tables say, and every operation and reduction
//! has one or a reason to have none.

use std::collections::BTreeSet;
use std::path::Path;

use tilefold_compiler::ops::Op;
use tilefold_tests::methods;

#[test]
fn the_methods_are_what_the_tables_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository");
    let stale = methods::stale(root).unwrap_or_else(|why| panic!("{why}"));
    let names: Vec<&String> = stale.keys().collect();
    assert!(names.is_empty(), "{names:?} are out of date; run `cargo xtask methods`");
}

#[test]
fn every_operation_is_a_method_or_says_why_not() {
    let mut names = BTreeSet::new();
    for &op in Op::ALL {
        let found = methods::of(op).unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(found.is_empty(), methods::without(op).is_some(), "{op:?}");
        for method in found {
            assert!(names.insert(method.name), "two methods are named {}", method.name);
            let arity = (method.args.len(), op.def().arity);
            assert_eq!(arity.0, arity.1, "{}: operands and arguments", method.name);
            let own = method.args.iter().filter(|arg| **arg == "self").count();
            assert_eq!(own, 1, "{}: one argument is `self`", method.name);
        }
    }
}

#[test]
fn a_method_names_as_many_literals_as_its_operation_takes() {
    for method in Op::ALL.iter().flat_map(|&op| methods::of(op).unwrap_or_default()) {
        let taken = method.op.def().params;
        if taken != tilefold_compiler::ops::LISTS {
            assert_eq!(method.literals.len(), taken, "{}", method.name);
        }
    }
}
