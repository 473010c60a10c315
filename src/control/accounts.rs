//! Users and groups of this machine, as `/etc/passwd` and `/etc/group` list them.
//!
//! Directories behind NSS (LDAP and the like) are not asked: the C library would be needed, and a
//! daemon that controls the network must not wait for one. Their users reach the daemon by their
//! primary group, or as root.

use std::fs;

/// The two files, as text.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Reads both files; one that cannot be read counts as empty, which lets nobody in by it.
    pub(super) fn read() -> Self {
        let text =
            |path| fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        Self { passwd: text("/etc/passwd"), group: text("/etc/group") }
    }

    #[cfg(test)]
    pub(super) fn from_texts(passwd: &str, group: &str) -> Self {
        Self { passwd: passwd.to_owned(), group: group.to_owned() }
    }

    /// The id of the group called `name`.
    pub(super) fn group_id(&self, name: &str) -> Option<u32> {
        groups(&self.group).find(|group| group.name == name).map(|group| group.id)
    }

    /// The ids of the groups that list any of the names the user `uid` has.
    pub(super) fn groups_of(&self, uid: u32) -> Vec<u32> {
        let names: Vec<&str> = user_names(&self.passwd, uid).collect();
        groups(&self.group)
            .filter(|group| group.members.split(',').any(|member| names.contains(&member)))
            .map(|group| group.id)
            .collect()
    }
}

struct Group<'a> {
    name: &'a str,
    id: u32,
    members: &'a str,
}

/// Lines `name:password:id:member,member`; what is not such a line is passed over.
fn groups(text: &str) -> impl Iterator<Item = Group<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let (name, _, id, members) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        Some(Group { name, id: id.parse().ok()?, members })
    })
}

/// Lines `name:password:uid:…`; several names may share a uid.
fn user_names(text: &str, uid: u32) -> impl Iterator<Item = &str> {
    text.lines().filter_map(move |line| {
        let mut fields = line.split(':');
        let (name, _, id) = (fields.next()?, fields.next()?, fields.next()?);
        (!name.is_empty() && id.parse() == Ok(uid)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nada:x:1000:1000::/home/ada:/bin/sh\n\
        ada2:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/home/bob:/bin/sh\n:x:1002:1::/:/bin/sh\nbroken\n";
    const GROUP: &str =
        "root:x:0:\nhopmesh:x:990:ada,carl\nlab:x:991:bob,ada2\nempty:x:992:\nbad:x:nine:bob\nshort:x\n";

    #[test]
    fn finds_groups_by_name_and_by_member() {
        let accounts = Accounts::from_texts(PASSWD, GROUP);
        assert_eq!(accounts.group_id("hopmesh"), Some(990));
        assert_eq!(accounts.group_id("hop"), None);
        assert_eq!(accounts.group_id("bad"), None);
        assert_eq!(accounts.groups_of(1000), [990, 991], "both names of the user count");
        assert_eq!(accounts.groups_of(1001), [991]);
        assert!(accounts.groups_of(1002).is_empty(), "an empty name is no member of groups with no members");
        assert!(accounts.groups_of(4242).is_empty());
        assert!(Accounts::default().groups_of(0).is_empty());
    }
}
