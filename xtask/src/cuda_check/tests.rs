//! The readers on small committed listings, and the budget file.

use std::collections::BTreeMap;

use super::hot::{Turn, turn};
use super::kernels::Measured;
use super::panel::{self, Way};
use super::{budget, sass};

const LOOP: &str = include_str!("listings/loop.sass");

#[test]
fn a_listing_is_read() {
    let entries = sass::read(LOOP).unwrap();
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((entry.arch.as_str(), entry.symbol.as_str()), ("sm_90", "tf_0_f32_s0_rows"));
    assert_eq!((entry.registers, entry.stack), (40, 16));
    assert_eq!(entry.code.len(), 24);
    let load = &entry.code[4];
    assert_eq!((load.at, load.op.as_str(), load.guarded), (0x40, "LDS.128", false));
    assert_eq!(load.operands, "R4, [R0]");
    let branch = &entry.code[9];
    assert_eq!((branch.name(), branch.guarded, branch.target()), ("BRA", true, Some(0x120)));
    assert!(branch.falls_through() && !entry.code[21].falls_through());
    assert!(entry.code[2].falls_through() && !entry.code[17].falls_through());
}

#[test]
fn a_listing_without_resources_or_code_is_refused() {
    for line in ["REG:40", "/*0"] {
        let cut: Vec<&str> = LOOP.lines().filter(|l| !l.contains(line)).collect();
        let error = sass::read(&cut.join("\n")).unwrap_err();
        assert!(error.contains("no code or no registers of tf_0_f32_s0_rows"), "{error}");
    }
    let cut: Vec<&str> = LOOP.lines().filter(|l| !l.contains("Function tf_0")).collect();
    assert_eq!(sass::read(&cut.join("\n")).unwrap_err(), "resources of no function");
}

/// The turn of the loop at 0x40, past the repair at 0x120, which is a loop itself; the scalar loop
/// at 0xd0 has no work in it.
#[test]
fn the_hot_turn_leaves_out_repairs() {
    let entries = sass::read(LOOP).unwrap();
    let found = turn(&entries[0].code).unwrap();
    let expected =
        Turn { issued: 9, fma: 3, alu: 2, mufu: 1, shared: [0, 0, 1], ..Turn::default() };
    assert_eq!(found, expected);
    assert_eq!(found.shared_bytes(), 16);
}

/// What lies on every way round is on the turn, whatever branches over it.
#[test]
fn the_hot_turn_is_a_whole_one() {
    let far = LOOP.replace("@!P1 BRA 0x120", "     BRA 0x120").replace("@P2 BRA 0x120", "@P2 NOP");
    let found = turn(&sass::read(&far).unwrap()[0].code).unwrap();
    assert_eq!((found.issued, found.alu, found.local), (13, 3, 1));
    let straight = LOOP.replace("BRA", "NOP");
    assert_eq!(turn(&sass::read(&straight).unwrap()[0].code), None);
}

/// Instructions one after the other; `loop N` ends a loop over the last N, `skip N` may jump over
/// the next N.
fn code(lines: &[(&str, usize)]) -> Vec<sass::Instruction> {
    let mut code: Vec<sass::Instruction> = Vec::new();
    for &(op, times) in lines {
        let at = |n: usize| 16 * n as u64;
        let here = code.len();
        let jump = |to: usize| ("BRA", 1, format!("0x{:x}", at(to)));
        let (op, times, operands) = match op.split_once(' ') {
            Some(("loop", size)) => jump(here - size.parse::<usize>().unwrap()),
            Some((_, size)) => jump(here + 1 + size.parse::<usize>().unwrap()),
            None => (op, times, String::new()),
        };
        let guarded = op == "BRA";
        let one = |n| sass::Instruction {
            at: at(here + n),
            guarded,
            op: op.into(),
            operands: operands.clone(),
        };
        code.extend((0..times).map(one));
    }
    code
}

/// Sums of 20 components for 8 rows and one column a thread: two turns over 8 components, and four
/// over one; eight pairs of a panel in two turns of four; the rest once.
#[test]
fn a_panel_is_counted_whole() {
    let lines = [
        ("MOV", 3),
        ("LDS.128", 16),
        ("LDS", 8),
        ("FFMA", 72),
        ("LDG", 5),
        ("loop 101", 1),
        ("LDS.128", 2),
        ("LDS", 1),
        ("FFMA", 9),
        ("loop 12", 1),
        ("LDS", 4),
        ("MUFU", 4),
        ("loop 8", 1),
        ("STS", 2),
        ("loop 129", 1),
        ("EXIT", 1),
    ];
    let sums = vec![[20, 1, 1, 0]];
    let sizes = panel::Sizes { columns: 1, cols: 4, sums, ..Default::default() };
    let found = panel::turn(&code(&lines), &sizes, 4, Way::Floats).unwrap();
    assert_eq!(sizes.pairs(), 8);
    assert_eq!(found.issued, 2 * 102 + 4 * 13 + 2 * 9 + 6);
    assert_eq!((found.fma, found.mufu), (2 * 72 + 4 * 9, 2 * 4));
    assert_eq!(found.shared, [2 * 8 + 4 + 2 * 4, 0, 2 * 16 + 4 * 2]);
    let other = panel::Sizes { sums: vec![[20, 2, 1, 0]], ..sizes };
    assert_eq!(panel::turn(&code(&lines), &other, 4, Way::Floats), None);
}

/// Sums of 24 components, by two products on tensor cores of 16 each or three turns of floats: one
/// way leaves out the other.
#[test]
fn a_panel_has_a_way_with_tensor_cores_and_one_without() {
    let lines = [
        ("MOV", 3),
        ("skip 30", 1),
        ("LDS.128", 4),
        ("HMMA", 24),
        ("loop 28", 1),
        ("skip 97", 1),
        ("LDS.128", 16),
        ("LDS", 8),
        ("FFMA", 72),
        ("loop 96", 1),
        ("LDS", 4),
        ("MUFU", 4),
        ("loop 8", 1),
        ("STS", 2),
        ("loop 142", 1),
        ("EXIT", 1),
    ];
    let sums = vec![[24, 1, 1, 0]];
    let sizes = panel::Sizes { columns: 1, cols: 4, sums, ..Default::default() };
    let [floats, tensor] = [Way::Floats, Way::TensorCores]
        .map(|way| panel::turn(&code(&lines), &sizes, 4, way).unwrap());
    assert_eq!((floats.issued, floats.fma, floats.tensor), (3 * 97 + 2 * 9 + 7, 3 * 72, 0));
    assert_eq!((tensor.issued, tensor.fma, tensor.tensor), (2 * 29 + 2 * 9 + 8, 0, 2 * 24));
}

fn measured(issued: usize, wide: usize) -> Measured {
    Measured {
        kernel: "k".into(),
        dtype: "f32",
        stage: "s0".into(),
        arch: "sm_90".into(),
        registers: 64,
        stack: 0,
        local: 0,
        turn: Turn { issued, fma: 32, mufu: 8, shared: [0, 0, wide], ..Turn::default() },
        pairs: 8.0,
    }
}

#[test]
fn bounds_are_those_of_the_slowest_pipe() {
    // 8 pairs take 2 clocks each of MUFU, and 72 instructions 18 clocks of issue.
    assert_eq!(measured(72, 1).bound(), (256.0 / 18.0, "issue"));
    assert_eq!(measured(40, 1).bound(), (16.0, "MUFU"));
    assert_eq!(measured(40, 5).bound(), (256.0 / 20.0, "LDS"));
    let older = Measured { arch: "sm_80".into(), ..measured(40, 1) };
    assert_eq!(older.bound().1, "MUFU");
}

#[test]
fn a_regression_shows_both_numbers() {
    let mut held = BTreeMap::new();
    budget::update(&mut held, &[measured(72, 1)]);
    let text = budget::print(&held);
    assert!(text.contains("\nk f32 s0 sm_90 instructions 9\n"), "{text}");
    assert_eq!(budget::read(&text).unwrap(), held);

    assert_eq!(budget::compare(&held, &[measured(72, 1)]), (vec![], 0));
    assert_eq!(budget::compare(&held, &[measured(64, 2)]), (vec![], 2));
    let (worse, _) = budget::compare(&held, &[measured(73, 0)]);
    assert_eq!(
        worse,
        [
            "k f32 s0 sm_90 instructions: 9.13, the budget is 9",
            "k f32 s0 sm_90 wide_reads: 0, the budget is 1"
        ]
    );
    let (worse, _) = budget::compare(&BTreeMap::new(), &[measured(72, 1)]);
    assert_eq!(worse.len(), 5);
    assert_eq!(worse[0], "k f32 s0 sm_90 instructions: 9, and no budget");
}

#[test]
fn limits_stand_whatever_the_budget_says() {
    let kernel = |name: &str, issued| Measured { kernel: name.into(), ..measured(issued, 1) };
    // 8 pairs a turn: 69 instructions are 8.63 a pair.
    let all = [kernel("relaxed_log_density", 68), kernel("k", 800)];
    assert_eq!(budget::over_limits(&all), Vec::<String>::new());
    assert_eq!(
        budget::over_limits(&[kernel("relaxed_log_density", 69)]),
        ["relaxed_log_density f32 s0 sm_90 instructions: 8.63, the limit is 8.6"]
    );
    let near = |issued| Measured { stage: "s0_near".into(), ..kernel("gaussian_D3", issued) };
    assert_eq!(budget::over_limits(&[near(54)]), Vec::<String>::new());
    assert_eq!(
        budget::over_limits(&[near(55)]),
        ["gaussian_D3 f32 s0_near sm_90 instructions: 6.88, the limit is 6.8"]
    );
    let older = Measured { arch: "sm_80".into(), ..kernel("relaxed_log_density", 69) };
    let double = Measured { dtype: "f64", ..kernel("relaxed_log_density", 69) };
    assert_eq!(budget::over_limits(&[older, double]), Vec::<String>::new());
}

#[test]
fn a_broken_budget_says_where() {
    for (text, problem) in [
        ("# head\nk f32 s0 sm_90 registers", "line 2"),
        ("k f32 s0 sm_90 registers many", "line 1"),
        ("k f32 s0 sm_90 local 1\nk f32 s0 sm_90 local 2", "there twice"),
    ] {
        let error = budget::read(text).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
}
