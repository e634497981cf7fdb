//! Whose a line is.

/// The kinds of accounts that have lines, and the words for them in tables and in the feed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum AccountKind {
    Owner,
    Agent,
    /// Of an agent: `<agent>/<task>`.
    Task,
    /// Made with the token, and gone with it.
    Token,
}

impl AccountKind {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Agent => "agent",
            Self::Task => "task",
            Self::Token => "token",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Owner, Self::Agent, Self::Task, Self::Token].into_iter().find(|kind| kind.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_read_as_it_is_written_and_no_other() {
        for word in ["owner", "agent", "task", "token"] {
            assert_eq!(AccountKind::parse(word).map(AccountKind::as_str), Some(word));
        }
        for word in ["", "Owner", "agents", "client", " task"] {
            assert_eq!(AccountKind::parse(word), None, "{word}");
        }
    }
}
