//! What VFIO says of a group: `VFIO_GROUP_GET_STATUS` (include/uapi/linux/vfio.h).
//!
//! Apart from the rest of the workspace, which forbids unsafe code: nothing offers this request as
//! a safe function, and a request of ioctl(2) is only as safe as the size of its argument.
//!
//! Neither opening a group nor this request changes anything of its devices
//! (drivers/vfio/group.c): `vfio_group_fops_open` marks the group as open, and
//! `vfio_group_ioctl_get_status` reads. Devices are claimed by `VFIO_GROUP_SET_CONTAINER` or
//! `VFIO_GROUP_GET_DEVICE_FD`, of which neither is here. While the group is open, another open of
//! it fails with EBUSY, so it is to be closed at once.

use std::mem::size_of;
use std::os::fd::AsFd;

use rustix::io::Result;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// `_IO(VFIO_TYPE, VFIO_BASE + 3)`.
const VFIO_GROUP_GET_STATUS: Opcode = opcode::none(b';', 100 + 3);
const VFIO_GROUP_FLAGS_VIABLE: u32 = 1 << 0;
const VFIO_GROUP_FLAGS_CONTAINER_SET: u32 = 1 << 1;

/// `struct vfio_group_status`.
#[repr(C)]
struct Argument {
    /// How much of it the kernel may use; `vfio_group_ioctl_get_status` writes no further than
    /// the end of `flags`.
    argsz: u32,
    flags: u32,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// No member has a driver of the host: the group can be given to a guest.
    pub viable: bool,
    /// Somebody has put it into a container, as for a guest that runs.
    pub container_set: bool,
}

impl Status {
    fn of(flags: u32) -> Self {
        Self {
            viable: flags & VFIO_GROUP_FLAGS_VIABLE != 0,
            container_set: flags & VFIO_GROUP_FLAGS_CONTAINER_SET != 0,
        }
    }
}

/// Asks an open group, as `/dev/vfio/18`.
///
/// # Errors
/// ENOTTY for a file that is no VFIO group; ENODEV where the last of its devices was just taken
/// from VFIO.
pub fn status(group: impl AsFd) -> Result<Status> {
    const SIZE: u32 = size_of::<Argument>() as u32;
    let mut argument = Argument { argsz: SIZE, flags: 0 };
    #[expect(unsafe_code, reason = "rustix has ioctl(2) only as an unsafe function")]
    // SAFETY: the request takes a pointer to a `struct vfio_group_status`, of which `Argument` has
    // the layout, and writes `argsz` bytes of it at most. The borrow keeps it in place until the
    // call returns, and every value of `flags` is valid. What is no VFIO group does not know the
    // request: these numbers are those of linux/vfio.h alone
    // (Documentation/userspace-api/ioctl/ioctl-number.rst).
    unsafe {
        ioctl(group, Updater::<VFIO_GROUP_GET_STATUS, _>::new(&mut argument))?;
    }
    Ok(Status::of(argument.flags))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    /// As a program in C has it from linux/vfio.h, on x86.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[test]
    fn request_and_argument_are_those_of_the_header() {
        assert_eq!(VFIO_GROUP_GET_STATUS, 0x3b67);
        assert_eq!((size_of::<Argument>(), align_of::<Argument>()), (8, 4));
    }

    #[test]
    fn flags_have_a_meaning_each() {
        let of = |flags| {
            let Status { viable, container_set } = Status::of(flags);
            (viable, container_set)
        };
        assert_eq!(
            [0, 1, 2, 3].map(of),
            [(false, false), (true, false), (false, true), (true, true)]
        );
        // A flag of a later kernel.
        assert_eq!(of(1 << 7), (false, false));
    }

    #[test]
    fn what_is_no_group_says_so() {
        let (read, write) = std::io::pipe().unwrap();
        assert_eq!(status(&read), Err(Errno::NOTTY));
        assert_eq!(status(&write), Err(Errno::NOTTY));
    }
}
