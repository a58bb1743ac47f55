//! What is wrong with a query, and where.

/// Why a query can't be read. Says the column, counted from 1 in characters.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("column {column}: {problem}")]
pub struct QueryError {
    /// Where.
    pub column: usize,
    /// What, and how to mend it.
    pub problem: String,
}

impl QueryError {
    /// The query with a mark under the place.
    pub fn pointed(&self, query: &str) -> String {
        let pad = " ".repeat(self.column.saturating_sub(1));
        format!("{query}\n{pad}^ {}", self.problem)
    }
}
