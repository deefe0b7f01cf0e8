//! The years in which an expression fires. Never looks at a date.

/// The years named, or all that there are.
#[derive(Clone, Debug)]
pub(super) enum Years {
    All,
    /// Ascending, each once.
    Listed(Box<[i16]>),
}

impl Years {
    pub(super) fn listed(mut years: Vec<i16>) -> Self {
        years.sort_unstable();
        years.dedup();
        Self::Listed(years.into())
    }

    /// The last year, if they end.
    pub(super) fn last(&self) -> Option<i16> {
        match self {
            Self::All => None,
            Self::Listed(years) => years.last().copied(),
        }
    }

    pub(super) fn contains(&self, year: i16) -> bool {
        match self {
            Self::All => true,
            Self::Listed(years) => years.binary_search(&year).is_ok(),
        }
    }

    /// The first year that is not before `year`.
    pub(super) fn next_from(&self, year: i16) -> Option<i16> {
        match self {
            Self::All => (year <= jiff::civil::Date::MAX.year()).then_some(year),
            Self::Listed(years) => years.get(years.partition_point(|listed| *listed < year)).copied(),
        }
    }
}
