//! Commands that are suggested to a person: such that they are about the same world, and can be pasted into a shell.

/// Options that a suggested command needs to be about the same world.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Again {
    /// Of `leakproof run`.
    pub run: Vec<String>,
    /// Of `leakproof explain`.
    pub explain: Vec<String>,
}

impl Again {
    /// What comes behind `leakproof explain SCENARIO FROM TO PORT`, from its space on; the first stage is the one that is
    /// explained where none is named.
    pub(super) fn explaining(&self, stage: Option<&str>) -> String {
        let stage = stage.into_iter().flat_map(|name| ["--stage", name]);
        stage.chain(self.explain.iter().map(String::as_str)).map(|word| format!(" {}", quoted(word))).collect()
    }

    /// What comes behind `leakproof run SCENARIO`, from its space on.
    pub(super) fn running(&self) -> String {
        self.run.iter().map(|word| format!(" {}", quoted(word))).collect()
    }
}

/// A word as a shell takes it for one.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_make_something_else_of_them() {
        let rows = [
            ("--adopt", "--adopt", "nothing to quote"),
            ("kind-a_b.c", "kind-a_b.c", "nor here"),
            ("the policy goes", "'the policy goes'", "several words"),
            ("leak=a->b:80/tcp", "'leak=a->b:80/tcp'", "a redirection"),
            ("it's", r"'it'\''s'", "a quote"),
            ("", "''", "nothing at all"),
        ];
        for (word, expected, why) in rows {
            assert_eq!(quoted(word), expected, "{why}");
        }
    }

    #[test]
    fn a_question_names_its_stage_and_its_world() {
        let again = Again { run: vec!["--on".into(), "cluster".into()], explain: vec!["--adopt".into()] };
        assert_eq!(again.explaining(Some("the policy goes")), " --stage 'the policy goes' --adopt");
        assert_eq!(again.explaining(None), " --adopt");
        assert_eq!(again.running(), " --on cluster");
        assert_eq!(Again::default().explaining(None), "");
    }
}
