//! What is told of a failure that lasts: whether two messages say the same thing at different times, and which one stands.
//! Pure.

/// Units that may stand apart from their number.
const UNITS: [&str; 4] = ["s", "ms", "µs", "min"];

/// How often what is told may be replaced: two troubles that take turns would never be quiet.
const STORIES: u8 = 4;

/// What is told of one trouble.
pub struct Told {
    /// The words.
    pub text: Box<str>,
    replaced: u8,
}

impl Told {
    /// The first words.
    pub fn first(text: impl Into<Box<str>>) -> Self {
        Self { text: text.into(), replaced: 0 }
    }

    /// Later words; true if they are told in the place of the ones before.
    pub fn again(&mut self, text: &str) -> bool {
        let news = self.replaced < STORIES && !is_same_story(&self.text, text);
        if news {
            *self = Self { text: text.into(), replaced: self.replaced + 1 };
        }
        news
    }
}

/// Both are the same but for what changes from one failure to the next: numbers, times and addresses. A word with a digit
/// in it is taken for one of these.
pub fn is_same_story(a: &str, b: &str) -> bool {
    a == b || story(a).eq(story(b))
}

fn story(text: &str) -> impl Iterator<Item = &str> {
    let plain = |word: &&str| !word.bytes().any(|byte| byte.is_ascii_digit());
    text.split_whitespace().filter(plain).filter(|word| !UNITS.contains(&word.trim_end_matches([',', ';', '.', ':'])))
}

#[cfg(test)]
mod tests {
    use super::{Told, is_same_story};

    #[test]
    fn other_words_are_told_and_two_that_take_turns_come_to_rest() {
        let mut told = Told::first("not heard within 28s");
        assert!(!told.again("not heard within 30s"));
        assert!(told.again("cannot be paired") && &*told.text == "cannot be paired");
        let turns = ["not heard", "cannot be paired"].repeat(10).into_iter().filter(|text| told.again(text));
        assert_eq!(turns.count(), 3);
    }

    #[test]
    fn times_and_numbers_are_passed_over() {
        for (a, b, same) in [
            ("no answer within 301 ms", "no answer within 1.2 s", true),
            ("C0:DE:00:00:00:01 did not connect within 30s", "4A:DE:00:00:00:01 did not connect within 28s", true),
            ("the bus is being opened", "C0:DE:00:00:00:01 cannot be paired: Authentication Failed", false),
            ("it was not heard within 28s", "it cannot be paired within 28s", false),
            ("", "no answer", false),
        ] {
            assert_eq!(is_same_story(a, b), same, "{a} / {b}");
        }
    }
}
