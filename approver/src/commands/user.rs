//! `user`: adds, lists, changes and removes people's accounts.

use std::{io::Write, path::PathBuf};

use clap::Subcommand;

use super::{password, table};
use crate::{
    Admin, AdminError,
    domain::account::{AccountName, Role},
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add an account
    Add {
        /// Name of the account
        name: AccountName,
        /// viewer (reads), reviewer (reads and decides) or administrator
        #[arg(long)]
        role: Role,
        #[command(flatten)]
        password: PasswordFile,
    },
    /// List accounts
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Set a new password and end all logins of the account
    Passwd {
        /// Name of the account
        name: AccountName,
        #[command(flatten)]
        password: PasswordFile,
    },
    /// Give an account another role
    Role {
        /// Name of the account
        name: AccountName,
        /// viewer (reads), reviewer (reads and decides) or administrator
        role: Role,
    },
    /// Remove an account and its logins; its decisions stay
    Remove {
        /// Name of the account
        name: AccountName,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct PasswordFile {
    /// Take the password from the first line of FILE (- is stdin) instead of
    /// asking for it
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl Command {
    pub(super) async fn run(
        self,
        admin: &Admin,
        out: &mut (dyn Write + Send),
    ) -> anyhow::Result<()> {
        match self {
            Self::Add {
                name,
                role,
                password,
            } => {
                if admin.has_user(&name).await? {
                    return Err(AdminError::UserExists(name).into());
                }
                let password = password::new(password.password_file.as_deref(), &name)?;
                admin.add_user(&name, role, &password).await?;
                tracing::info!(user.name = %name, %role, "user added");
            }
            Self::List { json } => {
                let users = admin.users().await?;
                table::print(out, json, &users, ["NAME", "ROLE", "CREATED"], |user| {
                    [
                        user.name.clone(),
                        user.role.to_owned(),
                        user.created_at.clone(),
                    ]
                })?;
            }
            Self::Passwd { name, password } => {
                if !admin.has_user(&name).await? {
                    return Err(AdminError::NoUser(name).into());
                }
                let password = password::new(password.password_file.as_deref(), &name)?;
                admin.set_password(&name, &password).await?;
                tracing::info!(user.name = %name, "password set");
            }
            Self::Role { name, role } => {
                admin.set_role(&name, role).await?;
                tracing::info!(user.name = %name, %role, "role changed");
            }
            Self::Remove { name } => {
                admin.remove_user(&name).await?;
                tracing::info!(user.name = %name, "user removed");
            }
        }
        Ok(())
    }
}
