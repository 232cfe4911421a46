//! Gradients of reductions through candle's graph, against differences in float64.

use candle_core::{DType, Device, Result, Tensor, Var};
use tilefold::Ranges;
use tilefold_candle::{Axis, LazyTensor, LazyTensorExt, Manner, TensorExt};

use crate::common::{check, numbers, variable, weighted};

/// Rows of `i` and of `j`.
const M: usize = 4;
const N: usize = 5;

/// `exp(-|x_i - y_j|^2)`
fn gaussian(x: &Tensor, y: &Tensor) -> Result<LazyTensor<f64>> {
    Ok((-(x.lazy_i::<f64>()? - y.lazy_j::<f64>()?).square().sum_inner()).exp())
}

#[test]
fn the_front_page_agrees_with_its_closed_form() {
    let (x, y) = (variable(&[M, 3], 1), variable(&[N, 3], 2));
    let a = gaussian(&x, &y).unwrap().sum(Axis::J).tensor().unwrap();
    let gradients = a.sqr().unwrap().sum_all().unwrap().backward().unwrap();
    let found = gradients.get(&x).unwrap().to_vec2::<f64>().unwrap();
    let a = numbers(&a);
    let (x, y) = (x.to_vec2::<f64>().unwrap(), y.to_vec2::<f64>().unwrap());
    for i in 0..M {
        let kernel = |j: usize| (0..3).map(|d| -(x[i][d] - y[j][d]).powi(2)).sum::<f64>().exp();
        assert!((a[i] - (0..N).map(kernel).sum::<f64>()).abs() < 1e-14);
        for d in 0..3 {
            let slope: f64 = (0..N).map(|j| -2.0 * (x[i][d] - y[j][d]) * kernel(j)).sum();
            assert!((found[i][d] - 2.0 * a[i] * slope).abs() < 1e-13);
        }
    }
}

#[test]
fn one_to_six_inputs() {
    let x = variable(&[M, 3], 1);
    let y = variable(&[N, 3], 2);
    let b = variable(&[N, 2], 3);
    let g = variable(&[], 4);
    let p = variable(&[2], 5);
    let c = variable(&[M], 6);
    let fixed = |v: &Var| v.as_tensor().detach();
    for count in 1..=6 {
        let all = [&x, &y, &b, &g, &p, &c];
        let tensor = |n: usize| if n < count { all[n].as_tensor().clone() } else { fixed(all[n]) };
        let value = || {
            let scaled = tensor(3).lazy_param::<f64>()?.square() + 1;
            let distance =
                (tensor(0).lazy_i::<f64>()? - tensor(1).lazy_j::<f64>()?).square().sum_inner();
            let kernel = (-(scaled * distance)).exp();
            let weight = tensor(2).lazy_j::<f64>()? + tensor(4).lazy_param::<f64>()?;
            (kernel * weight * tensor(5).lazy_i::<f64>()?).sum(Axis::J).tensor()
        };
        check(&all[..count], value);
        let gradients = weighted(&value().unwrap()).unwrap().backward().unwrap();
        for other in &all[count..] {
            assert!(gradients.get(other).is_none(), "{count} inputs");
        }
    }
}

#[test]
fn a_tensor_in_several_places_has_the_sum() {
    let x = variable(&[M, 2], 1);
    let b = variable(&[M, 2], 2);
    check(&[&x, &b], || (gaussian(&x, &x)? * b.lazy_j::<f64>()?).sum(Axis::J).tensor());
    check(&[&x, &b], || {
        let again = x.lazy_i::<f64>()? * b.lazy_j::<f64>()? + x.lazy_i::<f64>()?.sin();
        (gaussian(&x, &b)? * again).sum(Axis::J).tensor()
    });
}

#[test]
fn shared_parts_count_once_for_each_use() {
    let (x, y) = (variable(&[M, 2], 1), variable(&[N, 2], 2));
    check(&[&x, &y], || {
        let k = gaussian(&x, &y)?;
        let a = (&k * &k + k.sqrt() * k).sum(Axis::J).tensor()?;
        let normed = a.broadcast_div(&a.sum_all()?)?;
        normed.mul(&a)?.add(&x.sum_keepdim(1)?)
    });
    // What one reduction gives, the next one takes.
    check(&[&x, &y], || {
        let a = gaussian(&x, &y)?.sum(Axis::J).tensor()?;
        (gaussian(&x, &y)? * a.lazy_i::<f64>()?).sum(Axis::I).tensor()
    });
}

#[test]
fn the_other_axis_and_no_axis() {
    let (x, y) = (variable(&[M, 2], 1), variable(&[N, 2], 2));
    check(&[&x, &y], || gaussian(&x, &y)?.sum(Axis::I).tensor());
    check(&[&x, &y], || {
        let total = gaussian(&x, &y)?.sum(Axis::J).sum(Axis::I).tensor()?;
        assert_eq!(total.dims(), [1, 1]);
        total.sqr()
    });
    check(&[&x], || x.lazy_i::<f64>()?.square().sum_inner().tensor());
}

/// Points whose squared distances differ by so much that small steps do not change their order.
fn ordered() -> (Var, Var) {
    let is_ordered = |(x, y): &(Var, Var)| {
        let distance = (x.lazy_i::<f64>().unwrap() - y.lazy_j().unwrap()).square().sum_inner();
        let sorted = distance.kmin(N, Axis::J).tensor().unwrap().to_vec2::<f64>().unwrap();
        let largest = distance.kmax(2, Axis::I).tensor().unwrap().to_vec2::<f64>().unwrap();
        sorted.iter().all(|row| row.windows(2).all(|pair| pair[1] - pair[0] > 0.03))
            && largest.iter().all(|row| row[0] - row[1] > 0.03)
    };
    let mut points = (1..).map(|seed| (variable(&[M, 2], seed), variable(&[N, 2], seed + 1000)));
    points.find(is_ordered).unwrap()
}

#[test]
fn every_kind_of_reduction() {
    let (x, y) = ordered();
    let b = variable(&[N, 3], 3);
    type Score = Result<LazyTensor<f64>>;
    let score = || -> Score { Ok((x.lazy_i::<f64>()? - y.lazy_j::<f64>()?).square().sum_inner()) };
    let weight = || b.lazy_j::<f64>();
    let reductions: [(&str, &dyn Fn() -> Score); 7] = [
        ("sum", &|| Ok((score()? * weight()?).sum(Axis::J))),
        ("logsumexp", &|| Ok((score()? * 3).logsumexp(Axis::J))),
        ("weighted", &|| Ok(score()?.logsumexp_weighted(weight()?.square() + 1, Axis::J))),
        ("softmax", &|| Ok((-score()?).sumsoftmaxweight(weight()?, Axis::J))),
        ("min", &|| Ok(score()?.min(Axis::J))),
        ("max", &|| Ok(score()?.max(Axis::I))),
        ("kmin", &|| Ok(score()?.kmin(3, Axis::J))),
    ];
    for (name, reduction) in reductions {
        let mut variables = vec![&x, &y];
        if !matches!(name, "logsumexp" | "min" | "max" | "kmin") {
            variables.push(&b);
        }
        check(&variables, || reduction()?.tensor());
    }
}

#[test]
fn strided_and_offset_tensors() {
    let wide = variable(&[3, 2 * M + 1], 1);
    let deep = variable(&[2, N + 2, 3], 2);
    let number = variable(&[1, 1], 3);
    check(&[&wide, &deep, &number], || {
        let x = wide.t()?.narrow(0, 1, M)?;
        let y = deep.get(1)?.narrow(0, 2, N)?;
        let b = number.broadcast_as((N, 2))?;
        assert!(!x.is_contiguous() && !b.is_contiguous());
        (gaussian(&x, &y)? * b.lazy_j::<f64>()?).sum(Axis::J).tensor()
    });
}

#[test]
fn what_is_detached_is_constant_though_it_shares_memory() {
    let (x, y) = (variable(&[M, 2], 1), variable(&[N, 2], 2));
    let frozen = Tensor::from_vec(numbers(&x), (M, 2), &Device::Cpu).unwrap();
    let value = |other: &Tensor| {
        let weight = other.lazy_i::<f64>()? + y.lazy_j::<f64>()?;
        (gaussian(&x, &y)? * weight).sum(Axis::J).tensor()
    };
    let gradient = |other: &Tensor| {
        let gradients = weighted(&value(other)?)?.backward()?;
        Ok::<_, candle_core::Error>(numbers(gradients.get(&x).unwrap()))
    };
    let detached = gradient(&x.as_tensor().detach()).unwrap();
    assert_eq!(detached, gradient(&frozen).unwrap());
    assert_ne!(detached, gradient(&x).unwrap());
}

#[test]
fn without_variables_there_is_no_graph() {
    let x = Tensor::ones((M, 2), DType::F64, &Device::Cpu).unwrap();
    let a = gaussian(&x, &x).unwrap().sum(Axis::J).tensor().unwrap();
    assert!(!a.track_op());
    assert_eq!(numbers(&a), [M as f64; M]);
}

#[test]
fn row_numbers_are_integers_without_gradients() {
    let (x, y) = (variable(&[M, 2], 1), variable(&[N, 2], 2));
    let nearest = gaussian(&x, &y).unwrap().argmax(Axis::J).tensor().unwrap();
    assert_eq!((nearest.dtype(), nearest.dims()), (DType::I64, &[M, 1][..]));
    assert!(!nearest.track_op());
    let rows = nearest.flatten_all().unwrap().to_vec1::<i64>().unwrap();
    assert!(rows.iter().all(|&row| (0..N as i64).contains(&row)));

    // Labels may be variables of formulas.
    let labels = Tensor::from_slice(&[0_i64, 1, 0, 2, 1], N, &Device::Cpu).unwrap();
    check(&[&x, &y], || {
        let same = labels.lazy_j::<f64>()?.equal(1);
        (gaussian(&x, &y)? * same).sum(Axis::J).tensor()
    });
}

#[test]
fn smaller_types_agree_with_f64() {
    let (x, y) = (variable(&[M, 2], 1), variable(&[N, 2], 2));
    let exact = gaussian(&x, &y).unwrap().sum(Axis::J).tensor().unwrap();
    let expected = weighted(&exact).unwrap().backward().unwrap();
    let expected = [numbers(&exact), numbers(expected.get(&x).unwrap())];

    macro_rules! agrees {
        ($type:ty, $dtype:expr, $tolerance:expr) => {{
            let cast = |v: &Var| Var::from_tensor(&v.to_dtype($dtype).unwrap()).unwrap();
            let (x, y) = (cast(&x), cast(&y));
            let d = x.lazy_i::<$type>().unwrap() - y.lazy_j::<$type>().unwrap();
            let a = (-d.square().sum_inner()).exp().sum(Axis::J).tensor().unwrap();
            assert_eq!(a.dtype(), $dtype);
            let gradients = weighted(&a).unwrap().backward().unwrap();
            let gradient = gradients.get(&x).unwrap();
            assert_eq!(gradient.dtype(), $dtype);
            for (found, expected) in [&a, gradient].into_iter().zip(&expected) {
                for (found, expected) in numbers(found).iter().zip(expected) {
                    assert!((found - expected).abs() <= $tolerance, "{found}, not {expected}");
                }
            }
        }};
    }
    agrees!(f32, DType::F32, 1e-5);
    agrees!(tilefold::f16, DType::F16, 2e-2);
    agrees!(tilefold::bf16, DType::BF16, 1e-1);
}

#[test]
fn gradients_have_no_graph_where_candle_detaches() {
    let (x, y) = (variable(&[M, 2], 1), variable(&[N, 2], 2));
    let a = gaussian(&x, &y).unwrap().sum(Axis::J).tensor().unwrap();
    let gradients = a.sum_all().unwrap().backward().unwrap();
    assert!(!gradients.get(&x).unwrap().track_op());
}

#[test]
fn one_row_and_none() {
    let (x, y) = (variable(&[1, 2], 1), variable(&[1, 2], 2));
    check(&[&x, &y], || gaussian(&x, &y)?.sum(Axis::J).tensor());
    let none = variable(&[0, 2], 3);
    let a = gaussian(&none, &y).unwrap().sum(Axis::J).tensor().unwrap();
    assert_eq!(a.dims(), [0, 1]);
    let gradients = a.sum_all().unwrap().backward().unwrap();
    assert_eq!(gradients.get(&none).unwrap().dims(), [0, 2]);
    assert_eq!(numbers(gradients.get(&y).unwrap()), [0.0, 0.0]);
    let empty = gaussian(&x, &none).unwrap().sum(Axis::J).tensor().unwrap();
    assert_eq!(numbers(&empty), [0.0]);
}

#[test]
fn batches_are_broadcast_and_gradients_summed() {
    let x = variable(&[2, 3, M, 2], 1);
    let y = variable(&[3, N, 2], 2);
    let b = variable(&[N, 1], 3);
    let g = variable(&[2, 1, 1], 4);
    let value = || {
        let scaled = gaussian(&x, &y)? * g.lazy_param::<f64>()?;
        (scaled * b.lazy_j::<f64>()?).sum(Axis::J).tensor()
    };
    assert_eq!(value().unwrap().dims(), [2, 3, M, 1]);
    check(&[&x, &y, &b, &g], value);
    check(&[&x, &y], || {
        let total = gaussian(&x, &y)?.sum(Axis::J).sum(Axis::I).tensor()?;
        assert_eq!(total.dims(), [2, 3, 1, 1]);
        total.sqr()
    });
    for (n, item) in value().unwrap().get(1).unwrap().chunk(3, 0).unwrap().iter().enumerate() {
        let alone = gaussian(&x.get(1).unwrap().get(n).unwrap(), &y.get(n).unwrap()).unwrap();
        let alone = alone * g.get(1).unwrap().get(0).unwrap().lazy_param::<f64>().unwrap();
        let alone = (alone * b.lazy_j::<f64>().unwrap()).sum(Axis::J).tensor().unwrap();
        assert_eq!(numbers(item), numbers(&alone));
    }
}

#[test]
fn ranges_and_sums_count_for_gradients_too() {
    let (x, y) = (variable(&[M, 3], 1), variable(&[N, 3], 2));
    let blocks = [(0..2, 0..3), (2..4, 2..5)];
    let ranges = Ranges::from_blocks(blocks.clone()).unwrap();
    for manner in [Manner::new(), Manner::new().exact_sums(), Manner::new().fast_sums()] {
        let manner = manner.ranges(&ranges);
        let value = || gaussian(&x, &y)?.sum(Axis::J).tensor_as(&manner);
        check(&[&x, &y], value);
        // The blocks one by one.
        let part = |(i, j): (std::ops::Range<usize>, std::ops::Range<usize>)| {
            let (x, y) = (x.narrow(0, i.start, i.len()), y.narrow(0, j.start, j.len()));
            gaussian(&x?, &y?)?.sum(Axis::J).tensor()
        };
        let parts: Vec<Tensor> = blocks.clone().map(part).map(Result::unwrap).into();
        let all = numbers(&Tensor::cat(&parts, 0).unwrap());
        for (found, expected) in numbers(&value().unwrap()).iter().zip(all) {
            assert!((found - expected).abs() < 1e-15);
        }
        // Of a sum that would leave the pairs.
        let value = || {
            let (x, y) = (x.lazy_i::<f64>()?, y.lazy_j::<f64>()?);
            (x * y).sum_inner().sum(Axis::J).tensor_as(&manner)
        };
        check(&[&x, &y], value);
    }
    let outside = Ranges::from_blocks([(0..2, 0..9)]).unwrap();
    let value = gaussian(&x, &y).unwrap().sum(Axis::J);
    let error = value.tensor_as(&Manner::new().ranges(&outside)).unwrap_err();
    assert!(error.to_string().contains("9"), "{error}");
}
