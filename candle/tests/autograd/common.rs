//! Variables without a pattern, and derivatives by differences.

use candle_core::{DType, Device, Result, Tensor, Var};

/// A float64 variable with entries in -1..1.
pub fn variable(shape: &[usize], seed: u64) -> Var {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    let values: Vec<f64> = (0..shape.iter().product()).map(|_| next()).collect();
    Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
}

pub fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    flat.to_vec1().unwrap()
}

/// The sum of a value's entries, each with another weight.
pub fn weighted(value: &Tensor) -> Result<Tensor> {
    let weight = |n: usize| 1.0 + (n as f64 * 0.7).sin();
    let weights: Vec<f64> = (0..value.elem_count()).map(weight).collect();
    let weights = Tensor::from_vec(weights, value.shape(), value.device())?;
    (value * weights.to_dtype(value.dtype())?)?.sum_all()
}

/// Compares gradients of `weighted(value)` with central differences of fourth order.
#[track_caller]
pub fn check(variables: &[&Var], value: impl Fn() -> Result<Tensor>) {
    let gradients = weighted(&value().unwrap()).unwrap().backward().unwrap();
    let loss = || weighted(&value().unwrap()).unwrap().to_scalar::<f64>().unwrap();
    for (n, variable) in variables.iter().enumerate() {
        let found = gradients.get(variable).unwrap_or_else(|| panic!("no gradient of {n}"));
        assert_eq!(found.dims(), variable.dims(), "variable {n}");
        let (found, before) = (numbers(found), variable.copy().unwrap());
        for entry in 0..found.len() {
            let at = |step: f64| {
                let mut moved = numbers(&before);
                moved[entry] += step;
                let moved = Tensor::from_vec(moved, before.shape(), &Device::Cpu).unwrap();
                variable.set(&moved).unwrap();
                loss()
            };
            let h = 1e-3;
            let slope = (8.0 * (at(h) - at(-h)) - (at(2.0 * h) - at(-2.0 * h))) / (12.0 * h);
            let gap = (found[entry] - slope).abs();
            assert!(
                gap <= 1e-8 * (1.0 + slope.abs()),
                "variable {n}, entry {entry}: {} by backward, {slope} by differences",
                found[entry]
            );
        }
        variable.set(&before).unwrap();
    }
}
