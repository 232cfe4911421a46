//! Which compiled instance a call gets, and what is said when there is none.

mod fake;

use ndarray::{Array2, ArrayView2, array};
use tilefold::{Call, Code, Dtype, Element, Error, Formula, Instance, OpenFormula, select};

use fake::code::Real;

const KEY: [u8; 32] = [7; 32];

fn instance<T: Real>(dims: &'static [usize], key: [u8; 32], dtype: Dtype) -> Instance {
    // SAFETY: `fake` made the descriptor, and it stays in place.
    unsafe { Instance::new(dims, dtype, key, fake::dot_spec::<T>().leak()) }
}

fn formula(instances: Vec<Instance>) -> Formula {
    Formula {
        name: "conv",
        file: "formulas/conv.fold",
        generics: &["D", "E"],
        instances: Box::leak(instances.into_boxed_slice()),
    }
}

fn conv() -> Formula {
    formula(vec![
        instance::<f32>(&[2, 1], KEY, Dtype::F32),
        instance::<f64>(&[2, 1], KEY, Dtype::F64),
        instance::<f32>(&[3, 1], KEY, Dtype::F32),
        instance::<f32>(&[10, 3], KEY, Dtype::F32),
    ])
}

fn refusal(formula: &Formula, dtype: Dtype, d: usize, e: usize) -> String {
    let error = select(formula, dtype, &[("x", d), ("b", e)]).unwrap_err();
    assert_eq!(error.code(), Code::Instance);
    error.to_string()
}

#[test]
fn the_fitting_instance_is_found_once_and_for_all() {
    let conv = conv();
    let find = |dtype| select(&conv, dtype, &[("x", 2), ("b", 1)]).unwrap();
    assert_eq!(find(Dtype::F32).dtype(), Dtype::F32);
    assert_eq!(find(Dtype::F64).dtype(), Dtype::F64);
    assert!(std::ptr::eq(find(Dtype::F32), find(Dtype::F32)));
}

#[test]
fn a_typed_wrapper_is_thin() {
    fn wrapper<T: Element>(
        formula: &Formula,
        x: ArrayView2<T>,
        y: ArrayView2<T>,
        gamma: T,
    ) -> Result<Array2<T>, Error> {
        let kernel = select(formula, T::DTYPE, &[("x", x.ncols()), ("b", 1)])?;
        Call::new(kernel).arg("x", x).arg("y", y).arg("gamma", &gamma).run()?.take("a")
    }
    let a = wrapper(&conv(), array![[1.0, 2.0]].view(), array![[3.0, 4.0]].view(), 2.0);
    assert_eq!(a.unwrap(), array![[22.0]]);
    let a = wrapper(&conv(), Array2::<f32>::ones((1, 7)).view(), array![[3.0, 4.0]].view(), 2.0);
    assert_eq!(a.unwrap_err().code(), Code::Instance);
}

#[test]
fn a_dimension_that_was_not_compiled_is_named() {
    assert_eq!(
        refusal(&conv(), Dtype::F32, 4, 1),
        "error[T031]: conv was compiled for D in {2, 3, 10}, but `x` has 4 columns\n  \
         = help: add 4 to D in formulas/conv.fold and run cargo xtask build-formulas"
    );
    assert_eq!(
        refusal(&conv(), Dtype::F32, 2, 2),
        "error[T031]: conv was compiled for E in {1, 3}, but `b` has 2 columns\n  \
         = help: add 2 to E in formulas/conv.fold and run cargo xtask build-formulas"
    );
    let text = refusal(&conv(), Dtype::F32, 10, 1);
    assert!(text.contains("conv was not compiled for D = 10, E = 1\n"), "{text}");
    let text = refusal(&conv(), Dtype::F64, 3, 1);
    assert!(text.contains("for dtype f32, but the arrays hold f64\n"), "{text}");
    assert!(text.contains("add f64 to its dtypes in formulas/conv.fold"), "{text}");
}

#[test]
fn the_dtypes_of_these_dimensions_are_named() {
    // f64 was compiled, but not for D = 10, E = 3.
    let text = refusal(&conv(), Dtype::F64, 10, 3);
    assert!(text.contains("for dtype f32, but"), "{text}");
}

#[test]
fn long_sets_are_shortened() {
    let instances = (1..=20).map(|d| instance::<f32>(Box::leak(Box::new([d, 1])), KEY, Dtype::F32));
    let text = refusal(&formula(instances.collect()), Dtype::F32, 21, 1);
    assert!(text.contains("D in {1, 2, ..., 20} (20 values), but"), "{text}");
}

#[test]
fn a_stale_descriptor_is_refused() {
    let dims = [("x", 2), ("b", 1)];
    let stale = formula(vec![instance::<f32>(&[2, 1], [8; 32], Dtype::F32)]);
    assert_eq!(select(&stale, Dtype::F32, &dims).unwrap_err().code(), Code::Key);
    let mixed = formula(vec![instance::<f32>(&[2, 1], KEY, Dtype::F64)]);
    let error = select(&mixed, Dtype::F64, &dims).unwrap_err();
    assert_eq!(error.code(), Code::Descriptor);
    assert!(error.message().contains("`dtype` is f32, but the caller was made for f64"), "{error}");
}

/// The formula with a run-time dimension.
fn open(compiled: Formula, text: &'static str) -> &'static OpenFormula {
    Box::leak(Box::new(OpenFormula {
        compiled: Box::leak(Box::new(compiled)),
        text,
        name: "conv",
        derivative: None,
        members: &[None, Some(&[1, 3])],
        dtypes: &[Dtype::F32, Dtype::F64],
    }))
}

#[test]
fn what_is_compiled_of_an_open_formula_is_called_without_its_text() {
    let open = open(conv(), "no formula file");
    let dims = [("x", 2), ("b", 1)];
    let call = open.call(Dtype::F64, &dims).unwrap();
    let (x, y) = (array![[1.0, 2.0]], array![[3.0, 4.0]]);
    let a = call.arg("x", &x).arg("y", &y).arg("gamma", &2.0).run().unwrap().take("a");
    assert_eq!(a, Ok(array![[22.0]]));
    let refused = |dtype, dims: &[(&str, usize)]| {
        let error = open.call(dtype, dims).err().expect("a refusal");
        assert_eq!(error.code(), Code::Instance);
        error.to_string()
    };
    let text = refused(Dtype::F32, &[("x", 5), ("b", 2)]);
    assert!(text.contains("compiled for E in {1, 3}, but `b` has 2 columns"), "{text}");
    let text = refused(Dtype::F16, &dims);
    assert!(text.contains("compiled for dtype f32, f64, but the arrays hold f16"), "{text}");
}

/// A program without the parser says what would have it.
#[cfg(not(feature = "text"))]
#[test]
fn sizes_that_are_not_compiled_need_the_feature() {
    let open = open(conv(), "no formula file");
    let refused = |d| open.call(Dtype::F32, &[("x", d), ("b", 1)]).err().expect("a refusal");
    let error = refused(5);
    assert_eq!(error.code(), Code::Instance);
    assert!(
        error.message().contains("not compiled for D = 5, E = 1: `x` has 5 columns"),
        "{error}"
    );
    assert!(error.helps()[0].contains("enable the feature `text` of tilefold"), "{error}");
    // Both sizes were compiled, but not together.
    let text = refused(10).to_string();
    assert!(text.contains("not compiled for D = 10, E = 1: it is called for D = 10"), "{text}");
}

#[cfg(feature = "text")]
#[test]
fn text_that_is_no_formula_file_is_said() {
    let open = open(conv(), "no formula file");
    let error = open.call(Dtype::F32, &[("x", 5), ("b", 1)]).err().expect("a refusal");
    assert_eq!(error.code(), Code::Text);
    assert!(error.message().contains("conv cannot be made for D = 5, E = 1: error[E01"), "{error}");
}
