//! This repository keeps its own rules.

use xtask::root;
use xtask::tidy::{Budget, Sources};

#[test]
fn no_rule_is_broken() {
    let breaches = Sources::read(root()).unwrap().breaches();
    assert!(breaches.is_empty(), "\n{}\n", breaches.join("\n"));
}

#[test]
fn budgets_are_kept() {
    let budgets = Sources::read(root()).unwrap().budgets();
    let table: Vec<String> = budgets.iter().map(Budget::to_string).collect();
    println!("{}", table.join("\n"));
    assert!(budgets.iter().all(Budget::is_kept), "\n{}\n", table.join("\n"));
}
