//! `config check`: is this configuration right, and what does it mean?

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Subcommand;

use crate::{Config, config};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a configuration and explain what it does
    ///
    /// Prints every key with the value it has, and what is worth knowing about
    /// them. Touches neither the state directory nor any port. Exits with 1 if
    /// the service would not take the file.
    Check {
        #[arg(value_name = "FILE", help = format!(
            "Configuration file [default: --config, or {}]", config::DEFAULT_PATH
        ))]
        file: Option<PathBuf>,
    },
}

impl Command {
    /// Needs no state directory, and no file but the one it is about.
    pub(super) fn run(
        self,
        configured: Option<&Path>,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        let Self::Check { file } = self;
        let file = file.or_else(|| configured.map(Path::to_owned));
        let config = Config::load(file.as_deref())?;
        let name = match &file {
            Some(file) => file.display().to_string(),
            None => config::DEFAULT_PATH.to_owned(),
        };
        let effective = toml::to_string(&config).context("cannot print the configuration")?;
        let mut text = format!("{name} is right; the service would run with\n\n{effective}\n");
        for remark in config.remarks() {
            text.push_str("note: ");
            text.push_str(&remark);
            text.push('\n');
        }
        out.write_all(text.as_bytes())
            .context("cannot print the configuration")
    }
}
