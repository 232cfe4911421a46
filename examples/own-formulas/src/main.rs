//! Where to live? Near the places one visits: the point with the smallest weighted sum of
//! distances, found by Weiszfeld's way downhill, with a formula that build.rs compiled.

use ndarray::{Array2, array};
use own::distance_sum::{Args, eval, vjp};

/// The compiled formulas: one module each.
#[allow(clippy::all, dead_code, reason = "the modules are generated, and not all is called")]
mod own {
    include!(concat!(env!("OUT_DIR"), "/formulas.rs"));
}

fn main() -> Result<(), tilefold::Error> {
    let places = array![[0.0, 0.0], [4.0, 0.0], [4.0, 3.0], [0.0, 3.0], [3.0, 2.0]];
    let visits = array![[1.0], [1.0], [1.0], [1.0], [2.0]];
    let one = array![[1.0]];
    let mut home: Array2<f64> = array![[0.5, 0.5]];
    for _ in 0..200 {
        let args = Args { x: home.view(), y: places.view(), w: visits.view() };
        let downhill = vjp(&args, one.view())?.d_x;
        home.scaled_add(-0.02, &downhill);
    }
    let args = Args { x: home.view(), y: places.view(), w: visits.view() };
    let walk = eval(&args)?.s[[0, 0]];
    println!("home is at ({:.2}, {:.2}), {walk:.2} from everything", home[[0, 0]], home[[0, 1]]);
    assert!((home[[0, 0]] - 3.0).abs() < 0.1 && (home[[0, 1]] - 2.0).abs() < 0.1);
    Ok(())
}
