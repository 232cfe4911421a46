//! Every target for a moment: the committed corpus, and some inputs more. The long run is
//! `cargo xtask fuzz`.

use tilefold_fuzz::{Finding, Limits, Session, Target};

/// Replays the corpus, then runs `count` inputs.
fn hold(name: &str, count: u64) {
    let target = Target::named(name).expect("a target");
    let mut session = Session::new(target, 1, Limits::new(false));
    let show = |Finding { input, what }: Finding| {
        // Panics are kept off the screen here: targets make them by the thousand.
        eprintln!("{name}: {what}\n{}\n{input:?}", String::from_utf8_lossy(&input));
        panic!("a promise of {name} does not hold")
    };
    let corpus = session.corpus() as u64;
    assert!(corpus > 20, "{name} has a corpus of {corpus}");
    for _ in 0..corpus + count {
        let input = session.next_input();
        session.run(input).unwrap_or_else(show);
    }
    assert!(session.signatures() > 20, "{name}: {} signatures", session.signatures());
}

#[test]
fn formula_text_gives_formulas_or_diagnostics() {
    hold("text", 2000);
}

#[test]
fn canonical_text_gives_the_same_key() {
    hold("canonical", 1000);
}

#[test]
fn emitted_text_holds_no_word_of_the_user() {
    hold("pipeline", 150);
}

#[test]
fn lazy_programs_never_panic() {
    hold("lazy", 3000);
}

#[test]
fn manifests_and_descriptors_are_refused_or_sound() {
    hold("readers", 10_000);
}

#[test]
fn ranges_hold_the_pairs_that_were_named() {
    hold("ranges", 10_000);
}

#[test]
fn a_seed_runs_the_same_inputs_again() {
    let target = Target::named("ranges").expect("a target");
    let run = || -> Vec<Vec<u8>> {
        let mut session = Session::new(target, 7, Limits::new(false));
        let each = (0..300).map(|_| {
            let input = session.next_input();
            session.run(input.clone()).expect("the promise holds");
            input
        });
        each.collect()
    };
    assert_eq!(run(), run());
}
