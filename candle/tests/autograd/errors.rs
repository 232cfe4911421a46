//! Everything that must be refused.

use candle_core::{DType, Device, Tensor};
use tilefold_candle::{Axis, LazyTensorExt, TensorExt};

use crate::common::variable;

#[track_caller]
fn text<T>(result: candle_core::Result<T>) -> String {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn types_are_checked() {
    let x = variable(&[3, 2], 1);
    let error = text(x.lazy_i::<f32>());
    assert!(error.contains("T020") && error.contains("f64, not f32"), "{error}");
    for dtype in [DType::U8, DType::U32, DType::I32] {
        let labels = Tensor::zeros((3, 2), dtype, &Device::Cpu).unwrap();
        let error = text(labels.lazy_j::<f64>());
        assert!(error.contains(&format!("{dtype:?}")) && error.contains("to_dtype"), "{error}");
    }
}

#[test]
fn shapes_are_checked() {
    let x = variable(&[3, 2], 1);
    let error = text(variable(&[], 1).lazy_i::<f64>());
    assert!(error.contains("T024"), "{error}");
    let error = text(variable(&[3, 0], 1).lazy_i::<f64>());
    assert!(error.contains("T021"), "{error}");
    let (x_i, y_i) = (x.lazy_i::<f64>().unwrap(), variable(&[4, 2], 2).lazy_i::<f64>().unwrap());
    let error = text((x_i - y_i).sum(Axis::J).tensor());
    assert!(error.contains("T022") && error.contains("errors.rs"), "{error}");
}

#[test]
fn pairs_are_not_evaluated() {
    let x = variable(&[3, 2], 1);
    let k = x.lazy_i::<f64>().unwrap() - x.lazy_j::<f64>().unwrap();
    let error = text(k.tensor());
    assert!(error.contains("T071") && error.contains(".sum(Axis::J)"), "{error}");
}
