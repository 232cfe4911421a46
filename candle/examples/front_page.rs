//! KeOps' front page with candle tensors, and its gradient.
//!
//! `cargo run --release -p tilefold-candle --example front_page [M N]`

use std::time::Instant;

use candle_core::{Device, Result, Tensor, Var};
use tilefold_candle::{Axis, LazyTensorExt, TensorExt};

fn main() -> Result<()> {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    match *sizes.as_slice() {
        [m, n] => run(m, n),
        _ => run(10_000, 20_000),
    }
}

fn run(m: usize, n: usize) -> Result<()> {
    // x = torch.randn(M, 3, requires_grad=True); y = torch.randn(N, 3)
    let x = Var::randn(0_f32, 1.0, (m, 3), &Device::Cpu)?;
    let y = Tensor::randn(0_f32, 1.0, (n, 3), &Device::Cpu)?;

    // x_i = LazyTensor(x[:, None, :]); y_j = LazyTensor(y[None, :, :])
    let x_i = x.lazy_i::<f32>()?;
    let y_j = y.lazy_j()?;
    // D_ij = ((x_i - y_j) ** 2).sum(dim=2)
    let d_ij = (x_i - y_j).square().sum_inner();
    // K_ij = (-D_ij).exp()
    let k_ij = (-d_ij).exp();
    println!("{k_ij}");

    // a_i = K_ij.sum(dim=1)
    let start = Instant::now();
    let a_i = k_ij.sum(Axis::J).tensor()?;
    println!("a_i: {:?} after {:.2?}", a_i.shape(), start.elapsed());

    // g_x = torch.autograd.grad((a_i ** 2).sum(), [x])
    let start = Instant::now();
    let gradients = a_i.sqr()?.sum_all()?.backward()?;
    let g_x = gradients.get(&x).expect("x is a variable");
    println!("g_x: {:?} after {:.2?}", g_x.shape(), start.elapsed());
    Ok(())
}
