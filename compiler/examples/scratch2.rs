//! scratch
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let units = match tilefold_compiler::front::parse(&path, &text) {
        Ok(u) => u,
        Err(d) => { println!("{}", d.render(&path, &text)); return; }
    };
    let a = tilefold_compiler::emit::artifact(&units, &path).unwrap();
    for (p, t) in &a.files { println!("== {p} {}", t.len()); }
    println!("{}", a.files[&a.wrapper]);
}
