//! The paired t-test.

use statrs::distribution::{ContinuousCDF, StudentsT};
use statrs::function::beta::beta_reg;

/// What the paired t-test says of the differences between two runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TTest {
    /// The mean difference.
    pub mean: f64,
    /// The mean difference over its standard error; infinite if all differences are the same and not 0.
    pub statistic: f64,
    /// The probability of a mean at least so far from 0 if the runs do not differ, and differences are normally distributed.
    pub p_value: f64,
    standard_error: f64,
    degrees_of_freedom: f64,
}

/// Tests whether the mean difference is 0. The p-value is 1 if all differences are 0, and for fewer than two.
pub fn t_test(differences: &[f64]) -> TTest {
    let count = differences.len() as f64;
    let mean = if differences.is_empty() { 0.0 } else { differences.iter().sum::<f64>() / count };
    let mut test =
        TTest { mean, statistic: 0.0, p_value: 1.0, standard_error: f64::INFINITY, degrees_of_freedom: count - 1.0 };
    if differences.len() < 2 {
        return test;
    }
    let squares: f64 = differences.iter().map(|difference| (difference - mean).powi(2)).sum();
    test.standard_error = (squares / test.degrees_of_freedom / count).sqrt();
    if mean != 0.0 {
        test.statistic = mean / test.standard_error;
        test.p_value = two_sided(test.statistic, test.degrees_of_freedom);
    }
    test
}

/// The probability that Student's t is at least so far from 0.
fn two_sided(statistic: f64, degrees_of_freedom: f64) -> f64 {
    beta_reg(degrees_of_freedom / 2.0, 0.5, degrees_of_freedom / (degrees_of_freedom + statistic * statistic))
}

impl TTest {
    /// The interval that has the true mean difference in it with this confidence, for example 0.95. It is unbounded for fewer
    /// than two differences.
    ///
    /// # Panics
    ///
    /// If the confidence is not between 0 and 1.
    pub fn interval(&self, confidence: f64) -> (f64, f64) {
        assert!(confidence > 0.0 && confidence < 1.0, "a confidence is a probability");
        if self.standard_error == 0.0 || self.standard_error.is_infinite() {
            return (self.mean - self.standard_error, self.mean + self.standard_error);
        }
        let student = StudentsT::new(0.0, 1.0, self.degrees_of_freedom).expect("there are at least two differences");
        let half = student.inverse_cdf(0.5 + confidence / 2.0) * self.standard_error;
        (self.mean - half, self.mean + half)
    }
}
