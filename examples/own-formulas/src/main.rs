//! Where to live? Near the places one visits: the point with the smallest weighted sum of
//! distances, found downhill and then by Newton's method, with a formula that build.rs compiled
//! together with its gradient and its Hessian-vector product. Then the same places in more
//! dimensions than it compiled: the formula takes any (`dyn`).

use ndarray::{Array2, array, s};
use own::distance_sum::{Args, eval, eval_with, hessian_vector, value_and_vjp};
use tilefold::{Options, Tier};

/// The compiled formulas: one module each.
#[allow(clippy::all, dead_code, reason = "the modules are generated, and not all is called")]
mod own {
    include!(concat!(env!("OUT_DIR"), "/formulas.rs"));
}

fn main() -> Result<(), tilefold::Error> {
    let places = array![[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0], [3.0, 2.0]];
    let visits = array![[1.0], [1.0], [1.0], [1.0], [0.5]];
    let one = array![[1.0]];
    let mut home: Array2<f64> = array![[0.5, 0.5]];
    let mut walk = f64::INFINITY;
    for step in 0..45 {
        let args = Args { x: home.view(), y: places.view(), w: visits.view() };
        let found = value_and_vjp(&args, one.view())?;
        assert!(found.s[[0, 0]] <= walk + 1e-9, "a step uphill");
        walk = found.s[[0, 0]];
        if step < 40 {
            home.scaled_add(-0.02, &found.d_x);
            continue;
        }
        // The two columns of the Hessian, and the step that makes the gradient zero.
        let along = |e: Array2<f64>| hessian_vector(&args, one.view(), e.view());
        let (a, b) = (along(array![[1.0, 0.0]])?.t_d_x, along(array![[0.0, 1.0]])?.t_d_x);
        let (a, b, g) = (a.row(0), b.row(0), found.d_x.row(0));
        let determinant = a[0] * b[1] - a[1] * b[0];
        let newton = [g[0] * b[1] - g[1] * b[0], a[0] * g[1] - a[1] * g[0]];
        home[[0, 0]] -= newton[0] / determinant;
        home[[0, 1]] -= newton[1] / determinant;
    }
    let args = Args { x: home.view(), y: places.view(), w: visits.view() };
    let alone = eval(&args)?.s[[0, 0]];
    assert!((alone - walk).abs() < 1e-9, "the value alone is the value with the gradient");
    println!("home is at ({:.2}, {:.2}), {walk:.2} from everything", home[[0, 0]], home[[0, 1]]);
    assert!((home[[0, 0]] - 2.6873).abs() < 1e-4 && (home[[0, 1]] - 1.7933).abs() < 1e-4);
    in_many_dimensions(&home, &places, &visits)
}

/// Coordinates that are zero change no distance, no gradient and no second derivative.
fn in_many_dimensions(
    home: &Array2<f64>,
    places: &Array2<f64>,
    visits: &Array2<f64>,
) -> Result<(), tilefold::Error> {
    let (one, along) = (array![[1.0]], array![[1.0, 0.5]]);
    let mut found = Vec::new();
    for dimensions in [2, 3, 4, 10] {
        let wide = |rows: &Array2<f64>| {
            let mut wide = Array2::zeros((rows.nrows(), dimensions));
            wide.slice_mut(s![.., ..2]).assign(rows);
            wide
        };
        let (x, y, t) = (wide(home), wide(places), wide(&along));
        let args = Args { x: x.view(), y: y.view(), w: visits.view() };
        let (sum, report) = eval_with(&args, Options::new())?;
        let made = if dimensions > 3 { Tier::Interpreted } else { Tier::Linked };
        assert_eq!(report.tier, made, "{dimensions} dimensions");
        let slope = value_and_vjp(&args, one.view())?.d_x;
        let bend = hessian_vector(&args, one.view(), t.view())?.t_d_x;
        assert_eq!((slope.ncols(), bend.ncols()), (dimensions, dimensions));
        found.push([sum.s[[0, 0]], slope[[0, 0]], slope[[0, 1]], bend[[0, 0]], bend[[0, 1]]]);
    }
    for other in &found {
        assert!(other.iter().zip(&found[0]).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
    }
    println!("the same in 2, 3, 4 and 10 dimensions: {:.2}", found[0][0]);
    Ok(())
}
