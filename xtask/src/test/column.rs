//! The columns of the matrix: the runtimes, and the tests that need none.

use crate::error::Error;

/// Where a test runs; the order is the order of the columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Column {
    /// A test whose name names no runtime.
    Unit,
    Smol,
    SmolMt,
    AsyncStd,
    TokioCt,
    TokioMt,
    TokioPaused,
    Sim,
    /// An example in the documentation.
    Doc,
}

impl Column {
    pub(crate) const ALL: [Self; 9] = [
        Self::Unit,
        Self::Smol,
        Self::SmolMt,
        Self::AsyncStd,
        Self::TokioCt,
        Self::TokioMt,
        Self::TokioPaused,
        Self::Sim,
        Self::Doc,
    ];

    /// As `runtime_test!` of weirs-testing writes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Smol => "smol",
            Self::SmolMt => "smol_mt",
            Self::AsyncStd => "async_std",
            Self::TokioCt => "tokio_ct",
            Self::TokioMt => "tokio_mt",
            Self::TokioPaused => "tokio_paused",
            Self::Sim => "sim",
            Self::Doc => "doc",
        }
    }

    /// As a user writes it: `smol-mt` means `smol_mt`.
    pub(crate) fn parse(given: &str) -> Result<Self, Error> {
        let wanted = given.replace('-', "_");
        let found = Self::ALL.into_iter().find(|column| column.name() == wanted);
        found.ok_or_else(|| Error::unknown("runtime", given, &Self::ALL.map(Self::name)))
    }

    /// The column of an executable's test: the last segment of its name, if that is a runtime.
    pub(crate) fn of_test(name: &str) -> Self {
        let last = name.rsplit("::").next().unwrap_or(name);
        let runtimes = Self::ALL.into_iter().filter(|column| !matches!(column, Self::Unit | Self::Doc));
        runtimes.into_iter().find(|column| column.name() == last).unwrap_or(Self::Unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_segment_names_the_runtime() {
        assert_eq!(Column::of_test("group::drop_cancels::smol"), Column::Smol);
        assert_eq!(Column::of_test("group::drop_cancels::tokio_paused"), Column::TokioPaused);
        assert_eq!(Column::of_test("sim::keeps_order"), Column::Unit);
        assert_eq!(Column::of_test("smoke"), Column::Unit);
        assert_eq!(Column::of_test("links::doc"), Column::Unit);
    }

    #[test]
    fn a_dash_does_for_an_underscore() {
        assert_eq!(Column::parse("smol-mt").unwrap(), Column::SmolMt);
        assert_eq!(Column::parse("doc").unwrap(), Column::Doc);
        let Err(Error::Usage(message)) = Column::parse("tokio") else { panic!("there is no such runtime") };
        assert!(message.ends_with("tokio_ct, tokio_mt, tokio_paused, sim, doc"), "{message}");
    }
}
