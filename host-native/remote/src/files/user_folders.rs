//! The folders of the user who runs this process, by the XDG specification where there is one.
//!
//! <https://specifications.freedesktop.org/basedir-spec/latest/>

use std::path::PathBuf;

/// Where a user keeps what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserFolders {
    /// The user's own folder.
    pub home: PathBuf,
    /// Settings.
    pub config: PathBuf,
    /// Data.
    pub data: PathBuf,
    /// What can be made anew.
    pub cache: PathBuf,
}

impl UserFolders {
    /// Those that the environment names, or the system for this user. A variable with a relative path counts as not set:
    /// it would be another folder from each place.
    #[cfg(unix)]
    pub fn of_process() -> Option<Self> {
        let absolute =
            |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME").or_else(home_of_user)?;
        let folder = |name, default| absolute(name).unwrap_or_else(|| home.join(default));
        Some(Self {
            config: folder("XDG_CONFIG_HOME", ".config"),
            data: folder("XDG_DATA_HOME", ".local/share"),
            cache: folder("XDG_CACHE_HOME", ".cache"),
            home,
        })
    }

    /// Those that the system names for this user.
    #[cfg(not(unix))]
    pub fn of_process() -> Option<Self> {
        use etcetera::BaseStrategy as _;
        let folders = etcetera::choose_base_strategy().ok()?;
        let home = folders.home_dir().to_owned();
        Some(Self {
            home,
            config: folders.config_dir(),
            data: folders.data_dir(),
            cache: folders.cache_dir(),
        })
    }
}

/// The list of users.
#[cfg(unix)]
const USERS: &str = "/etc/passwd";

/// The longest list of users that is read, in bytes.
#[cfg(unix)]
const MAX_USERS_BYTES: u64 = 16 << 20;

/// The home of this process's user, by the system's list.
#[cfg(unix)]
fn home_of_user() -> Option<PathBuf> {
    // Without the variable the standard library asks the system, which knows users of directory services too.
    if std::env::var_os("HOME").is_none_or(|home| home.is_empty()) {
        return std::env::home_dir().filter(|home| home.is_absolute());
    }
    let users = std::path::Path::new(USERS);
    let users =
        super::whole_file::read_text(users, MAX_USERS_BYTES, super::whole_file::Links::Follow).ok()?;
    home_in(&users, rustix::process::geteuid().as_raw())
}

/// The home of user `id` in the text of a list of users.
#[cfg(unix)]
fn home_in(users: &str, id: u32) -> Option<PathBuf> {
    users.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_it = fields.get(2).and_then(|found| found.parse().ok()) == Some(id);
        fields.get(5).filter(|_| is_it).map(PathBuf::from).filter(|home| home.is_absolute())
    })
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_users_names_their_homes() {
        let users = "root:x:0:0:root:/root:/bin/sh\nodd:x:7\nme:x:1000:1000::/home/me:/bin/sh\nrel:x:8:8::rel:/bin/sh\n";
        assert_eq!(home_in(users, 0), Some(PathBuf::from("/root")));
        assert_eq!(home_in(users, 1000), Some(PathBuf::from("/home/me")));
        for id in [7, 8, 9] {
            assert_eq!(home_in(users, id), None);
        }
    }
}
