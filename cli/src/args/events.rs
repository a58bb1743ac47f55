//! What can be typed after `events`.

use clap::Args;

pub(crate) const HELP: &str = "\
A query is words that all must match: key:value, several values with commas, - before a word to
turn it round, quotes for blanks. In a value * stands for anything and ? for one character. A word
without a key is searched for in what a person would read.

Keys: kind outcome basis host session profile owner rule risk exe cmd cwd sha256 pid uid dest port
protocol reviewer request hold grant digest severity class since until text

  holdpoint events 'outcome:denied exe:*/curl since:24h'
  holdpoint events 'kind:connect dest:10.0.0.0/8 -port:443'
  holdpoint events --follow 'kind:decision'
  holdpoint events --sql 'SELECT reviewer, count(*) FROM events GROUP BY reviewer'";

#[derive(Args, Debug)]
pub(crate) struct Events {
    /// What to look for; everything without it
    #[arg(value_name = "QUERY", conflicts_with = "sql")]
    pub(crate) query: Vec<String>,

    /// One SELECT over the table "events", for reviewers and administrators
    #[arg(long, value_name = "SQL", conflicts_with = "follow")]
    pub(crate) sql: Option<String>,

    /// Print what comes from now on, until interrupted
    #[arg(long, short, conflicts_with = "limit")]
    pub(crate) follow: bool,

    /// Print at most so many (default: 100; with --sql: 10000)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
}
