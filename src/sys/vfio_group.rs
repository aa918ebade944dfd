//! What VFIO says of a group of the running system.

use rustix::io::Errno;
use vfio_group::Status;

use super::directory::{Directory, reason};
use super::observed::Observed;
use super::sysroot::{Source, Sysroot};

/// An answer of VFIO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VfioGroup {
    /// It can be given to a guest.
    Viable,
    /// A member has a driver of the host.
    NotViable,
    /// It is viable, and somebody has put it into a container.
    ContainerSet,
    /// Another process has it open, which is as much as VFIO says then.
    Open,
}

impl Sysroot {
    /// Opens `/dev/vfio/NUMBER` for as long as asking takes, which changes nothing of its devices.
    /// Absent where VFIO has no such group. `None` elsewhere than in the running system, whose
    /// kernel knows nothing of another root.
    pub fn vfio_group(&self, number: u32) -> Option<Observed<VfioGroup>> {
        let Source::Directory(directory) = &self.source else { return None };
        let path = format!("dev/vfio/{number}");
        let seen = self.is_live().then(|| ask(directory, &path))?;
        if let Observed::Unreadable(reason) = &seen {
            self.note_unreadable(&path, reason);
        }
        Some(seen)
    }
}

fn ask(directory: &Directory, path: &str) -> Observed<VfioGroup> {
    answer(directory.device(path).and_then(vfio_group::status))
}

/// Errors are those of `vfio_group_fops_open` and `vfio_group_ioctl_get_status`
/// (drivers/vfio/group.c): EBUSY for a group, or since Linux 6.6 a device of it, that is open
/// elsewhere; ENODEV where the last device was taken from VFIO. ENXIO is a node without a driver.
fn answer(said: Result<Status, Errno>) -> Observed<VfioGroup> {
    match said {
        Ok(Status { container_set: true, .. }) => Observed::Present(VfioGroup::ContainerSet),
        Ok(Status { viable: true, .. }) => Observed::Present(VfioGroup::Viable),
        Ok(Status { viable: false, .. }) => Observed::Present(VfioGroup::NotViable),
        Err(Errno::BUSY) => Observed::Present(VfioGroup::Open),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::NXIO | Errno::NODEV) => Observed::Absent,
        Err(Errno::NOTTY) => Observed::Unreadable("it is no VFIO group".to_owned()),
        Err(errno) => Observed::Unreadable(reason(errno)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::Tree;

    #[test]
    fn every_answer_has_its_meaning() {
        let status = |viable, container_set| Ok(Status { viable, container_set });
        let denied = || Observed::Unreadable("permission denied (root may read it)".to_owned());
        for (said, meaning) in [
            (status(true, false), Observed::Present(VfioGroup::Viable)),
            (status(false, false), Observed::Present(VfioGroup::NotViable)),
            (status(true, true), Observed::Present(VfioGroup::ContainerSet)),
            (Err(Errno::BUSY), Observed::Present(VfioGroup::Open)),
            (Err(Errno::NOENT), Observed::Absent),
            (Err(Errno::NXIO), Observed::Absent),
            (Err(Errno::NODEV), Observed::Absent),
            (Err(Errno::ACCESS), denied()),
            (Err(Errno::PERM), denied()),
            (Err(Errno::NOTTY), Observed::Unreadable("it is no VFIO group".to_owned())),
        ] {
            assert_eq!(answer(said), meaning, "{said:?}");
        }
    }

    #[test]
    fn only_the_running_system_is_asked() {
        assert_eq!(Sysroot::from_tree(Tree::default()).vfio_group(18), None);
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("dev/vfio")).unwrap();
        std::fs::write(dir.path().join("dev/vfio/18"), "").unwrap();
        assert_eq!(Sysroot::open(dir.path()).unwrap().vfio_group(18), None);
        let live = Sysroot::open(std::path::Path::new("/")).unwrap();
        assert_eq!(live.vfio_group(u32::MAX), Some(Observed::Absent));
    }

    /// Nothing but a device is opened, and no other device takes the request for its own.
    #[test]
    fn what_is_no_group_is_not_taken_for_one() {
        let live = Sysroot::open(std::path::Path::new("/")).unwrap();
        let Source::Directory(directory) = &live.source else { panic!("a directory") };
        for path in ["proc/self/stat", "proc/self", "dev/null"] {
            let said = Observed::Unreadable("it is no VFIO group".to_owned());
            assert_eq!(ask(directory, path), said, "{path}");
        }
    }
}
