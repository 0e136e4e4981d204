//! Rotary position embeddings, and how their frequencies are changed for long prompts.

/// Rotary position embedding (Su et al., 2021): the first half of a head's features turns with the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rotary {
    /// The base of the frequencies.
    pub theta: f64,
    /// How many of a head's features turn.
    pub features: usize,
    /// How the frequencies differ from those of the base, for prompts longer than those of the first training.
    pub scaling: RotaryScaling,
}

/// How the frequencies of a rotary embedding are changed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RotaryScaling {
    /// Not at all.
    None,
    /// All of them are divided by a factor.
    Linear(f64),
    /// That of Llama 3: low frequencies are divided by the factor, high ones are kept, and those between are interpolated.
    Llama3 {
        /// What low frequencies are divided by.
        factor: f64,
        /// Frequencies that turn less often than this over the original length are low.
        low_frequency_factor: f64,
        /// Those that turn more often than this are high.
        high_frequency_factor: f64,
        /// The length of prompts in the first training.
        original_length: f64,
    },
}

impl Rotary {
    /// The usual embedding: all `features` of a head turn, by the base's own frequencies.
    pub fn of_theta(theta: f64, features: usize) -> Self {
        Self { theta, features, scaling: RotaryScaling::None }
    }

    /// What each pair of features turns by from one position to the next, computed in f32 where transformers does.
    pub fn frequencies(&self) -> Vec<f32> {
        let features = self.features as f32;
        let unscaled = |pair: usize| 1. / self.theta.powf(f64::from((2 * pair) as f32 / features)) as f32;
        (0..self.features / 2).map(|pair| self.scaling.apply(unscaled(pair))).collect()
    }
}

impl RotaryScaling {
    fn apply(self, frequency: f32) -> f32 {
        match self {
            Self::None => frequency,
            Self::Linear(factor) => frequency / factor as f32,
            Self::Llama3 { factor, low_frequency_factor, high_frequency_factor, original_length } => {
                let wavelength = 2. * std::f32::consts::PI / frequency;
                if wavelength > (original_length / low_frequency_factor) as f32 {
                    return frequency / factor as f32;
                }
                if wavelength < (original_length / high_frequency_factor) as f32 {
                    return frequency;
                }
                let low = low_frequency_factor as f32;
                let smooth = (original_length as f32 / wavelength - low) / (high_frequency_factor as f32 - low);
                (1. - smooth) * frequency / factor as f32 + smooth * frequency
            }
        }
    }
}
