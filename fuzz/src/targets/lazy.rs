//! Programs with `LazyTensor`. Input is a stream of choices, read as steps of a machine with a
//! stack of expressions: make a leaf, apply a method to the topmost ones, evaluate one. Every
//! method of `LazyTensor` is in the table below; a test compares it with the source.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use ndarray::{Array1, Array2, Array3, ArrayView2, s};
use tilefold::{Axis, Code, Complex, Error, IntoLazy, LazyTensor, Options, Policy, evaluate};

use super::{Target, signature};
use crate::choices::Choices;

pub const TARGET: Target = Target {
    name: "lazy",
    promise: "expressions never panic; a mistake says where in the caller's code it was made",
    run,
    make: None,
    reads_formulas: false,
};

type Lazy = LazyTensor<'static, f64>;

/// How many operands a step takes from the stack, and what it does with them.
type Step = (&'static str, usize, fn(&[Lazy], &mut Choices<'_>) -> Lazy);

macro_rules! steps {
    (
        one { $($one:ident)* } two { $($two:ident)* } three { $($three:ident)* }
        size { $($size:ident)* } number { $($number:ident)* } fold { $($fold:ident)* }
        k { $($k:ident)* } others { $($name:literal $arity:literal $step:expr,)* }
    ) => {
        /// Every method.
        const STEPS: &[Step] = &[
            $((stringify!($one), 1, |a, _| a[0].$one()),)*
            $((stringify!($two), 2, |a, _| a[0].$two(&a[1])),)*
            $((stringify!($three), 3, |a, _| a[0].$three(&a[1], &a[2])),)*
            $((stringify!($size), 1, |a, c| a[0].$size(c.size())),)*
            $((stringify!($number), 1, |a, c| a[0].$number(c.number())),)*
            $((stringify!($fold), 1, |a, c| a[0].$fold(axis(c))),)*
            $((stringify!($k), 1, |a, c| a[0].$k(c.size(), axis(c))),)*
            $(($name, $arity, $step),)*
        ];
    };
}

steps! {
    one {
        inv square sqrt rsqrt cbrt real imag conj angle exp1j as_complex as_real real2complex
        imag2complex exp exp2 expm1 log log1p log2 log10 xlogx reverse cumsum cumprod prod_inner
        mean_inner trace det inverse abs sign step relu floor trunc ceil sigmoid softplus silu gelu
        gelu_tanh erf erfc normcdf lgamma digamma trigamma sin cos tan sinc sinxdivx asin acos atan
        sinh cosh tanh asinh acosh atanh sum_inner max_inner min_inner argmax_inner argmin_inner
        sqnorm2 norm2 normalize t
    }
    two {
        powf vecmatmult weightedsqnorm complex matvecmult scan hypot minimum maximum equal
        not_equal lt gt le ge and or concat tensorprod cross fmod atan2 inner sqdist solve_inner
        masked grad_matrix divergence laplacian trace_operator
    }
    three { select softdtw_sqdist clamp weightedsqdist modulo ifelse }
    size { elem one_hot transpose_inner }
    number { polygamma round powi }
    fold {
        sum mean var prod min max argmin argmax logsumexp softargmin softargmax any all count
    }
    k { kmin argkmin kmax argkmax }
    others {
        "add" 2 |a, _| &a[0] + &a[1],
        "sub" 2 |a, _| &a[0] - &a[1],
        "mul" 2 |a, _| &a[0] * &a[1],
        "div" 2 |a, _| &a[0] / &a[1],
        "bitor" 2 |a, _| &a[0] | &a[1],
        "neg" 1 |a, _| -&a[0],
        "with numbers" 1 |a, c| (1.5 * &a[0] + c.number() as i32) / 2.0,
        "bspline" 2 |a, c| a[0].bspline(&a[1], c.size()),
        "logsumexp_weighted" 2 |a, c| a[0].logsumexp_weighted(&a[1], axis(c)),
        "sumsoftmaxweight" 2 |a, c| a[0].sumsoftmaxweight(&a[1], axis(c)),
        "kmin_argkmin" 1 |a, c| { let two = a[0].kmin_argkmin(c.size(), axis(c)); either(two, c) },
        "kmax_argkmax" 1 |a, c| { let two = a[0].kmax_argkmax(c.size(), axis(c)); either(two, c) },
        "min_argmin" 1 |a, c| { let two = a[0].min_argmin(axis(c)); either(two, c) },
        "max_argmax" 1 |a, c| { let two = a[0].max_argmax(axis(c)); either(two, c) },
        "tensordot" 2 |a, c| {
            a[0].tensordot(&a[1], &sizes(c), &sizes(c), &sizes(c), &sizes(c), &sizes(c))
        },
        "kron" 2 |a, c| a[0].kron(&a[1], &sizes(c), &sizes(c)),
        "matmul" 2 |a, c| a[0].matmul(&a[1], c.size(), c.size(), c.size()),
        "softmin_rows" 2 |a, c| a[0].softmin_rows(&a[1], c.size()),
        "pick" 1 |a, c| a[0].pick(&sizes(c)),
        "extract" 1 |a, c| a[0].extract(c.size(), c.size()),
        "slice" 1 |a, c| match c.below(4) {
            0 => a[0].slice(c.size()..c.size()),
            1 => a[0].slice(..c.size()),
            2 => a[0].slice(c.size()..),
            _ => a[0].slice(c.size()..=c.size()),
        },
        "concatenate" 3 |a, c| {
            let parts: Vec<&Lazy> = a.iter().take(c.below(4)).collect();
            LazyTensor::concatenate(&parts)
        },
        "vjp" 3 |a, _| a[0].vjp(&a[1], &a[2]),
        "grad" 3 |a, _| a[0].grad(&a[1], &a[2]),
        "adjoint_operator" 3 |a, _| a[0].adjoint_operator(&a[1], &a[2]),
        "jvp" 3 |a, _| a[0].jvp(&[(&a[1], &a[2])]),
        "diff" 3 |a, _| a[0].diff(&[(&a[1], &a[2]), (&a[2], &a[1])][..1 + a[0].dim() % 2]),
    }
}

fn axis(choices: &mut Choices<'_>) -> Axis {
    *choices.pick(&[Axis::I, Axis::J])
}

fn either((a, b): (Lazy, Lazy), choices: &mut Choices<'_>) -> Lazy {
    if choices.below(2) == 0 { a } else { b }
}

fn sizes(choices: &mut Choices<'_>) -> Vec<usize> {
    (0..choices.below(5)).map(|_| choices.size()).collect()
}

/// Arrays of all kinds of shapes and strides.
struct Arrays {
    matrices: Vec<ArrayView2<'static, f64>>,
    batches: Vec<Array3<f64>>,
    vectors: Vec<Array1<f64>>,
    labels: Array2<i64>,
    complex: Array2<Complex<f64>>,
}

fn arrays() -> &'static Arrays {
    static ARRAYS: OnceLock<Arrays> = OnceLock::new();
    ARRAYS.get_or_init(|| {
        let value = |n: usize| match n {
            5 => f64::INFINITY,
            11 => f64::NAN,
            _ => 0.25 * n as f64 - 1.0,
        };
        let shapes =
            [(3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (4, 4), (1, 3), (0, 2), (3, 0), (3, 9)];
        let matrix = |&(rows, cols): &(usize, usize)| -> ArrayView2<'static, f64> {
            let array = Array2::from_shape_fn((rows, cols), |(i, k)| value(i * cols + k));
            Box::leak(Box::new(array)).view()
        };
        let mut matrices: Vec<_> = shapes.iter().map(matrix).collect();
        let wide: &'static Array2<f64> = Box::leak(Box::new(Array2::from_elem((6, 4), 0.5)));
        matrices.push(wide.slice(s![..;-2, ..;2]));
        matrices.push(wide.slice(s![..3, ..1]));
        let row: &'static Array2<f64> = Box::leak(Box::new(Array2::from_elem((1, 2), 0.5)));
        matrices.extend(row.broadcast((4, 2)));
        let batch = |shape: (usize, usize, usize)| Array3::from_elem(shape, 0.75);
        Arrays {
            matrices,
            batches: vec![batch((2, 3, 1)), batch((1, 3, 2)), batch((5, 4, 1)), batch((0, 3, 1))],
            vectors: [0, 1, 2, 3, 4].map(|n| Array1::from_elem(n, 0.5)).into(),
            labels: Array2::from_shape_fn((3, 1), |(i, _)| i as i64 - 1),
            complex: Array2::from_elem((3, 1), Complex::new(0.5, -1.0)),
        }
    })
}

fn leaf(choices: &mut Choices<'_>) -> Lazy {
    let all = arrays();
    match choices.below(12) {
        0..=2 => LazyTensor::i(*choices.pick(&all.matrices)),
        3..=5 => LazyTensor::j(*choices.pick(&all.matrices)),
        6 => LazyTensor::param(choices.pick(&all.vectors).view()),
        7 => LazyTensor::number(0.5),
        8 => LazyTensor::constant(choices.number() as f64),
        9 => LazyTensor::pos(axis(choices)),
        10 => match choices.below(4) {
            0 => LazyTensor::i(all.labels.view()),
            1 => LazyTensor::j(all.complex.view()),
            2 => LazyTensor::i(choices.pick(&all.vectors).view()),
            _ => LazyTensor::param(all.complex.row(0)),
        },
        _ => match choices.below(3) {
            0 => LazyTensor::i(choices.pick(&all.batches).view()),
            1 => LazyTensor::j(choices.pick(&all.batches).view()),
            _ => LazyTensor::param(choices.pick(&all.batches).view()),
        },
    }
}

/// Most steps of a program. Longer ones are formulas that only get larger.
const MOST: usize = 14;

fn run(bytes: &[u8]) -> Result<u64, String> {
    let mut choices = Choices::new(bytes);
    let mut stack: Vec<Lazy> = vec![leaf(&mut choices), leaf(&mut choices)];
    let mut met = BTreeSet::new();
    for _ in 0..MOST {
        if !choices.more() {
            break;
        }
        match choices.byte() {
            0..=63 => stack.push(leaf(&mut choices)),
            64..=71 => {
                let at = choices.below(stack.len());
                stack.push(stack[at].clone());
            }
            b => {
                let step = &STEPS[(usize::from(b) * 7 + choices.below(251)) % STEPS.len()];
                apply(step, &mut stack, &mut choices, &mut met)?;
            }
        }
    }
    let finished = finish(&stack, &mut choices)?;
    Ok(signature((met, finished)))
}

fn apply(
    &(name, arity, step): &Step,
    stack: &mut Vec<Lazy>,
    choices: &mut Choices<'_>,
    met: &mut BTreeSet<(&'static str, Option<Code>)>,
) -> Result<(), String> {
    while stack.len() < arity {
        stack.push(leaf(choices));
    }
    let args = &stack[stack.len() - arity..];
    let result = step(args, choices);
    if let Some(error) = result.mistake() {
        check(error)?;
        // An old mistake is passed on; a new one was made in this file.
        let old = args.iter().filter_map(|arg| arg.mistake()).any(|old| old == error);
        let place = error.message().contains(concat!(file!(), ":"));
        if !old && !place {
            return Err(format!("{name}: the mistake has no place: {error}"));
        }
        met.insert((name, Some(error.code())));
        // Operands stay for other steps.
        return Ok(());
    }
    if result.shape().len() < 3 || result.dim() == 0 {
        return Err(format!("{name} gives the shape {:?}", result.shape()));
    }
    met.insert((name, None));
    stack.push(result);
    Ok(())
}

/// Every error has a message and a way out.
fn check(error: &Error) -> Result<(), String> {
    let message = error.message();
    match message.trim().is_empty() || message.contains("internal") || message.contains("panick") {
        true => Err(format!("an error that helps nobody: {error}")),
        false => Ok(()),
    }
}

/// Evaluates what is on top, alone and with the one below.
fn finish(stack: &[Lazy], choices: &mut Choices<'_>) -> Result<Vec<String>, String> {
    let options = Options::new().executor(Policy::Cpu).threads(1);
    let mut outcomes = Vec::new();
    for tensor in stack.iter().rev().take(2) {
        let found = match choices.below(4) {
            0 => tensor.eval_index().map(|a| a.dim()),
            1 => tensor.eval_complex().map(|a| a.dim()),
            _ => tensor.eval_with(options).map(|a| a.dim()),
        };
        outcomes.push(match found {
            Ok((_, columns)) if columns != tensor.dim() => {
                return Err(format!("{columns} columns of {:?}", tensor.shape()));
            }
            Ok((rows, _)) => format!("{}", rows.min(2)),
            Err(error) => {
                check(&error)?;
                format!("{:?}", error.code())
            }
        });
    }
    let roots: Vec<&Lazy> = stack.iter().rev().take(choices.below(4)).collect();
    if let Err(error) = evaluate(&roots).options(options).run() {
        check(&error)?;
    }
    let _ = format!("{:?}", stack.last());
    let _ = 2.into_lazy() + stack[0].clone();
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// Public methods that are no steps: ways in, questions, and evaluation.
    const NO_STEPS: &[&str] = &[
        "i",
        "j",
        "param",
        "number",
        "constant",
        "pos",
        "dim",
        "rows",
        "batch",
        "shape",
        "mistake",
        "eval",
        "eval_with",
        "eval_nd",
        "eval_index",
        "eval_complex",
        "dot",
        "dot_nd",
        "solve",
        "solve_nd",
        "solve_vjp",
        "source",
        "sources",
        "device",
    ];

    #[test]
    fn every_method_is_a_step() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime/src/lazy");
        let files = ["", "methods"].map(|f| fs::read_dir(folder.join(f)).expect("sources"));
        let mut missing = Vec::new();
        for entry in files.into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let Ok(text) = fs::read_to_string(&path) else { continue };
            // Methods of LazyTensor only: of the blocks that say so.
            for block in text.split("\nimpl").filter(|b| b.lines().next().is_some_and(of_tensor)) {
                let names = block.match_indices("\n    pub fn ").map(|(at, found)| {
                    let rest = &block[at + found.len()..];
                    &rest[..rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0)]
                });
                let known = |n: &&str| STEPS.iter().any(|s| s.0 == *n) || NO_STEPS.contains(n);
                missing.extend(names.filter(|n| !known(n)).map(str::to_owned));
            }
        }
        assert!(missing.is_empty(), "not in the table of steps: {missing:?}");
        assert!(STEPS.len() > 130, "{}", STEPS.len());
    }

    fn of_tensor(line: &str) -> bool {
        line.contains(" LazyTensor<") && !line.contains(" for ")
    }
}
