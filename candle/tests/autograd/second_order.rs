//! Second derivatives, which candle computes only in processes that ask for it.

use std::process::Command;

use candle_core::{Result, Tensor, Var};
use tilefold_candle::{Axis, LazyTensorExt, TensorExt};

use crate::common::{check, numbers, variable, weighted};

const ASK: &str = "CANDLE_GRAD_DO_NOT_DETACH";

/// Whether this process is one that keeps graphs or one that does not, as asked; if it is not, runs
/// the test in one that is.
#[track_caller]
fn is_here(test: &str, keeps_graphs: bool) -> bool {
    if std::env::var_os(ASK).is_some() == keeps_graphs {
        return true;
    }
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]);
    match keeps_graphs {
        true => command.env(ASK, "1"),
        false => command.env_remove(ASK),
    };
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    false
}

/// `x |-> sum of weights * gradient of loss(a(x))`, where the loss is not linear, so that the
/// second derivative has a part through the seed of the first one.
fn slope(x: &Var, y: &Var, b: &Var, of: &Var) -> Result<Tensor> {
    let d_ij = (x.lazy_i::<f64>()? - y.lazy_j::<f64>()?).square().sum_inner();
    let a = ((-d_ij).exp() * b.lazy_j::<f64>()?).sum(Axis::J).tensor()?;
    let loss = (a.sqr()?.sum_all()? + weighted(&a)?)?;
    Ok(loss.backward()?.get(of).expect("a gradient").clone())
}

#[test]
fn second_derivatives_agree_with_differences() {
    if !is_here("second_order::second_derivatives_agree_with_differences", true) {
        return;
    }
    let x = variable(&[3, 2], 1);
    let y = variable(&[4, 2], 2);
    let b = variable(&[4, 1], 3);
    for of in [&x, &y, &b] {
        check(&[&x, &y, &b], || slope(&x, &y, &b, of));
    }
    // A loss that is linear in the value: the seed of the gradient is constant.
    check(&[&x, &y, &b], || {
        let d_ij = (x.lazy_i::<f64>()? - y.lazy_j::<f64>()?).square().sum_inner();
        let a = ((-d_ij).exp() * b.lazy_j::<f64>()?).sum(Axis::J).tensor()?;
        Ok(a.sum_all()?.backward()?.get(&x).expect("a gradient").clone())
    });
    // More inputs than candle's operations have: some are joined.
    let (g, p) = (variable(&[1], 4), variable(&[1], 5));
    let all = [&x, &y, &b, &g, &p];
    check(&all, || {
        let d_ij = (x.lazy_i::<f64>()? - y.lazy_j::<f64>()?).square().sum_inner();
        let k_ij = (-(d_ij * g.lazy_param::<f64>()?)).exp() + p.lazy_param::<f64>()?;
        let a = (k_ij * b.lazy_j::<f64>()?).sum(Axis::J).tensor()?;
        let gradients = a.sqr()?.sum_all()?.backward()?;
        let parts: Vec<Tensor> = all
            .iter()
            .map(|of| gradients.get(of).expect("a gradient").flatten_all())
            .collect::<Result<_>>()?;
        Tensor::cat(&parts, 0)
    });
}

#[test]
fn otherwise_there_is_none() {
    if !is_here("second_order::otherwise_there_is_none", false) {
        return;
    }
    let (x, y, b) = (variable(&[3, 2], 1), variable(&[4, 2], 2), variable(&[4, 1], 3));
    let gradient = slope(&x, &y, &b, &x).unwrap();
    let again = gradient.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    assert!(again.get(&x).is_none());
    assert_eq!(numbers(&gradient).len(), 6);
}
