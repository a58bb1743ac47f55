//! The system user that the service runs as, made by the package.

use std::{
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown},
    path::Path,
};

/// Name of the user and its group.
const NAME: &str = "holdpoint-approver";

/// The service's user.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServiceAccount {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
}

impl ServiceAccount {
    /// The service's user, if this process is root and may act as it.
    pub fn to_act_as() -> Option<Self> {
        // The owner of a process's folder is its effective user.
        let root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        find(&accounts).filter(|_| root)
    }

    /// Makes `folder` the user's own, unless it belongs to somebody already.
    pub(super) fn give_folder(&self, folder: &Path) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let (owner, empty) = (
            fs::metadata(folder)?.uid(),
            fs::read_dir(folder)?.next().is_none(),
        );
        if owner == 0 && empty {
            chown(folder, Some(self.uid), Some(self.gid))?;
        }
        Ok(())
    }
}

fn find(accounts: &str) -> Option<ServiceAccount> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != NAME {
            return None;
        }
        Some(ServiceAccount {
            name: NAME.to_owned(),
            uid: fields.nth(1)?.parse().ok()?,
            gid: fields.next()?.parse().ok()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_account_is_found_among_others() {
        let accounts = "root:x:0:0:root:/root:/bin/bash\n\
            holdpoint-approver-old:x:5:6::/:/bin/false\n\
            holdpoint-approver:x:104:110::/var/lib/holdpoint-approver:/usr/sbin/nologin\n";
        let found = find(accounts).unwrap();
        assert_eq!((found.uid, found.gid), (104, 110));
        assert_eq!(find("holdpoint-approver:x:me:1"), None);
        assert_eq!(find(""), None);
    }
}
