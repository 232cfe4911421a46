//! scratch
fn main() {
    let out = std::env::args().nth(1).unwrap();
    for path in std::env::args().skip(2) {
        let text = std::fs::read_to_string(&path).unwrap();
        let units = match tilefold_compiler::front::parse(&path, &text) {
            Ok(u) => u,
            Err(d) => {
                println!("{}", d.render(&path, &text));
                continue;
            }
        };
        let a = tilefold_compiler::emit::artifact(&units, &path).unwrap();
        for (p, t) in &a.files {
            let p = format!("{out}/{p}");
            std::fs::create_dir_all(std::path::Path::new(&p).parent().unwrap()).unwrap();
            std::fs::write(p, t).unwrap();
        }
    }
}
