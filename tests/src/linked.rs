//! Formulas linked while a program runs. Goes in: formulas of files. Comes out: kernels that
//! expressions find, as those of a generated crate. It never looks at what they compute.

use tilefold::{Dtype, Instance, record};
use tilefold_compiler::front;
use tilefold_compiler::ir::{self, Formula, Storage};
use tilefold_compiler::passes::lookup;

use crate::native::{Native, best};

/// Compiles formulas for arrays of a type, and registers what a generated crate would have of
/// them: descriptor, key, and the key that expressions know.
pub fn link(formulas: &[Formula], storage: Storage) {
    register(&Native::quick(formulas, &[storage], &[best()]), formulas, storage);
}

/// The formulas that expressions are, as the record has them of what `run` evaluates.
///
/// # Panics
/// When the record cannot be written or read.
pub fn recorded(run: impl FnOnce()) -> Vec<Formula> {
    let file = std::env::temp_dir().join(format!("tilefold-linked-{}.fold", std::process::id()));
    let _ = std::fs::remove_file(&file);
    record::to(Some(&file));
    run();
    record::to(None);
    let text = std::fs::read_to_string(&file).expect("something was recorded");
    let _ = std::fs::remove_file(&file);
    let units = front::parse("recorded.fold", &text);
    let units = units.unwrap_or_else(|why| panic!("{}", why.render("recorded.fold", &text)));
    let instances = units.into_iter().flat_map(|unit| unit.instances);
    instances.map(|instance| instance.formula).collect()
}

/// Registers formulas that were compiled.
pub fn register(native: &Native, formulas: &[Formula], storage: Storage) {
    let dtype = match storage {
        Storage::F16 => Dtype::F16,
        Storage::BF16 => Dtype::BF16,
        Storage::F32 => Dtype::F32,
        Storage::F64 => Dtype::F64,
    };
    let instance = |(n, f): (usize, &Formula)| {
        let found = lookup(f);
        let key: &'static [u8; 32] = Box::leak(Box::new(*found.key.bytes()));
        // SAFETY: the descriptor was made by the compiler, and its library stays loaded.
        let instance =
            unsafe { Instance::new(&[], dtype, *ir::key(f).bytes(), native.raw(n, storage)) };
        instance.listed(key, found.inputs.leak())
    };
    let instances: Vec<Instance> = formulas.iter().enumerate().map(instance).collect();
    let formula: &'static tilefold::Formula = Box::leak(Box::new(tilefold::Formula {
        name: "linked",
        file: "linked.fold",
        generics: &[],
        instances: instances.leak(),
    }));
    tilefold::register(&[&[formula]]);
}
