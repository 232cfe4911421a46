//! Neighbours go in; what each digit is taken for, and how often that is right, come out.

use ndarray::ArrayView2;

use crate::data::CLASSES;

/// What the neighbours say of each digit.
#[derive(Debug)]
pub struct Outcome {
    /// The label that won.
    pub voted: Vec<u8>,
    /// How many neighbours voted for it.
    pub votes: Vec<usize>,
    /// How many digits of the class of the row were taken for the class of the column.
    pub confusion: [[usize; CLASSES]; CLASSES],
}

impl Outcome {
    /// Lets the neighbours of every digit vote.
    pub fn new(labels: &[u8], neighbours: ArrayView2<usize>) -> Self {
        let mut outcome = Self {
            voted: Vec::with_capacity(labels.len()),
            votes: Vec::with_capacity(labels.len()),
            confusion: [[0; CLASSES]; CLASSES],
        };
        for (&label, nearest) in labels.iter().zip(neighbours.rows()) {
            let ballots: Vec<u8> = nearest.iter().map(|&row| labels[row]).collect();
            let (voted, votes) = winner(&ballots);
            outcome.voted.push(voted);
            outcome.votes.push(votes);
            outcome.confusion[usize::from(label)][usize::from(voted)] += 1;
        }
        outcome
    }

    /// How many digits were taken for what they are.
    pub fn correct(&self) -> usize {
        (0..CLASSES).map(|class| self.confusion[class][class]).sum()
    }

    /// The share of digits taken for what they are.
    pub fn accuracy(&self) -> f64 {
        self.correct() as f64 / self.voted.len() as f64
    }

    /// The rows of the others.
    pub fn mistakes(&self, labels: &[u8]) -> Vec<usize> {
        (0..labels.len()).filter(|&row| self.voted[row] != labels[row]).collect()
    }
}

/// The label with the most ballots, and their number. Ballots come nearest first, and among equals
/// the label whose first ballot is nearest wins.
fn winner(ballots: &[u8]) -> (u8, usize) {
    let mut count = [0; CLASSES];
    for &label in ballots {
        count[usize::from(label)] += 1;
    }
    let most = count.into_iter().max().unwrap_or(0);
    let first = ballots.iter().find(|&&label| count[usize::from(label)] == most);
    (*first.expect("a digit has at least one neighbour"), most)
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_majority_wins() {
        assert_eq!(winner(&[7]), (7, 1));
        assert_eq!(winner(&[1, 9, 9]), (9, 2));
        assert_eq!(winner(&[0, 0, 9, 9, 9, 0, 0]), (0, 4));
    }

    #[test]
    fn ties_go_to_the_nearest() {
        assert_eq!(winner(&[8, 3]), (8, 1));
        assert_eq!(winner(&[5, 8, 3, 3, 8]), (8, 2));
        assert_eq!(winner(&[5, 3, 8, 8, 3]), (3, 2));
    }

    #[test]
    fn counts_what_was_taken_for_what() {
        let labels = [4, 4, 9];
        let outcome = Outcome::new(&labels, array![[1], [0], [0]].view());
        assert_eq!(outcome.voted, [4, 4, 4]);
        assert_eq!((outcome.confusion[4][4], outcome.confusion[9][4]), (2, 1));
        assert_eq!((outcome.correct(), outcome.mistakes(&labels)), (2, vec![2]));
        assert_eq!(outcome.accuracy(), 2.0 / 3.0);
    }
}
