//! User names as Rust identifiers. The front end has checked that they are ASCII identifiers and
//! not one of the few words that Rust cannot take even as raw identifiers.

/// Words that need `r#` to be identifiers in Rust 2024, reserved ones included.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let",
    "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return",
    "static", "struct", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use",
    "virtual", "where", "while", "yield",
];

/// The name as an identifier.
pub fn ident(name: &str) -> String {
    if KEYWORDS.contains(&name) { format!("r#{name}") } else { name.into() }
}

/// The name as an identifier of a parameter that receives an output; it cannot clash with `args`
/// or a cotangent.
pub fn out_ident(name: &str) -> String {
    format!("out_{name}")
}

/// `vjp_a` as `VjpA`.
pub fn camel(name: &str) -> String {
    let capital = |part: &str| {
        let mut chars = part.chars();
        chars.next().map(|c| c.to_ascii_uppercase().to_string() + chars.as_str())
    };
    name.split('_').filter_map(capital).collect()
}
