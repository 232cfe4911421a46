//! The signature and the body of a method, laid out as rustfmt does. In: a method. Out: text.

use std::fmt::Write;

use tilefold_compiler::ops::Op;

use super::table::{Literal, Method};

/// Longest line.
const WIDTH: usize = 100;

/// The declarations that the methods of a file need.
pub fn uses(methods: &[Method]) -> String {
    let literals = || methods.iter().flat_map(|m| m.literals);
    let operands = methods.iter().any(|m| m.args.len() > 1);
    let sizes = literals().any(|l| matches!(l, Literal::Size(_)));
    let lists = literals().any(|l| matches!(l, Literal::List(_) | Literal::OptionalList(_)));
    let helpers: Vec<&str> =
        lists.then_some("lists").into_iter().chain(sizes.then_some("size")).collect();
    let helpers = match helpers.as_slice() {
        [] => String::new(),
        [one] => format!("use crate::lazy::literals::{one};\n"),
        _ => format!("use crate::lazy::literals::{{{}}};\n", helpers.join(", ")),
    };
    let apply = "use crate::lazy::node::apply;\n";
    // Sorted as rustfmt does.
    let lazy = match operands {
        true => format!("{helpers}{apply}use crate::lazy::{{IntoLazy, LazyTensor}};\n"),
        false => format!("use crate::lazy::LazyTensor;\n{helpers}{apply}"),
    };
    format!(
        "use std::panic::Location;\n\nuse tilefold_compiler::ops::Op;\n\nuse crate::Element;\n\
         {lazy}"
    )
}

/// The function of a method, without its documentation.
pub fn function(method: &Method) -> String {
    let mut text = String::from("    #[track_caller]\n");
    let mut parameters = vec!["&self".to_string()];
    parameters.extend(operands(method).iter().map(|name| format!("{name}: impl IntoLazy<'a, T>")));
    parameters.extend(method.literals.iter().map(|literal| match literal {
        Literal::Int(name) => format!("{name}: i64"),
        Literal::Size(name) => format!("{name}: usize"),
        Literal::List(name) | Literal::OptionalList(name) => format!("{name}: &[usize]"),
    }));
    let head = format!("    pub fn {}", method.name);
    text += &call(&head, &parameters, " -> LazyTensor<'a, T> {", 4);
    text += &body(method);
    text += "    }\n";
    text
}

/// The operands in the order of the call.
pub fn operands(method: &Method) -> Vec<&'static str> {
    match method.order {
        Some(order) => order.to_vec(),
        None => method.args.iter().copied().filter(|arg| *arg != "self").collect(),
    }
}

fn body(method: &Method) -> String {
    let args: Vec<String> = method
        .args
        .iter()
        .map(|arg| match *arg {
            "self" => "self".into(),
            name => format!("&{name}.into_lazy()"),
        })
        .collect();
    let mut text = String::new();
    let literals = match method.literals {
        [.., Literal::OptionalList(last)] => {
            let names: Vec<&str> = method.literals.iter().map(|l| l.name()).collect();
            let (all, most) = (names.join(", "), names.len());
            let _ = writeln!(text, "        let all = [{all}];");
            let _ = writeln!(
                text,
                "        let given = if {last}.is_empty() {{ {} }} else {{ {most} }};",
                most - 1
            );
            "&lists(&all[..given])".to_string()
        }
        [Literal::List(_), ..] => {
            let names: Vec<&str> = method.literals.iter().map(|l| l.name()).collect();
            format!("&lists(&[{}])", names.join(", "))
        }
        literals => {
            let each = literals.iter().map(|literal| match literal {
                Literal::Size(name) => format!("size({name})"),
                other => other.name().to_string(),
            });
            format!("&[{}]", each.collect::<Vec<_>>().join(", "))
        }
    };
    let applied = |op: Op| {
        [format!("Op::{op:?}"), format!("&[{}]", args.join(", ")), literals.clone()].to_vec()
    };
    let place = "Location::caller()".to_string();
    match method.pairs {
        true => {
            let inner = [applied(method.op), vec![place.clone()]].concat();
            text += &call("        let pairs = apply", &inner, ";", 8);
            let outer = ["Op::AsComplex".into(), "&[&pairs]".into(), "&[]".into(), place];
            text += &call("        apply", &outer, "", 8);
        }
        false => {
            let all = [applied(method.op), vec![place]].concat();
            text += &call("        apply", &all, "", 8);
        }
    }
    text
}

/// A list in parentheses on one line or, where it is too long, an item a line.
pub fn call(head: &str, items: &[String], tail: &str, indent: usize) -> String {
    let line = format!("{head}({}){tail}", items.join(", "));
    if line.chars().count() <= WIDTH {
        return format!("{line}\n");
    }
    let space = " ".repeat(indent);
    let items: String = items.iter().map(|item| format!("{space}    {item},\n")).collect();
    format!("{head}(\n{items}{space}){tail}\n")
}
