//! Opening a function: by a file of its own and an address space of iommufd, or by its IOMMU group and a container.

use super::super::TransportError;
use iommufd_ioctls::IommuFd;
use rustix::io::Errno;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use vfio_ioctls::{VfioContainer, VfioDevice, VfioError, VfioIommufd, VfioOps};

/// A function that was opened, and the address space that it is attached to.
type Opened = (VfioDevice, Arc<dyn VfioOps>);

/// Opens the function that sysfs shows at `path`: by its own file where the kernel has such, and by its group where not or where that
/// fails.
pub(super) fn open(what: &str, path: &Path) -> Result<Opened, TransportError> {
    let refused = if has_file(path, Path::new("/dev")) {
        match by_file(path) {
            Ok(opened) => {
                tracing::info!(device = what, "opened by its own file (iommufd)");
                return Ok(opened);
            }
            Err(error) => {
                tracing::info!(device = what, %error, "not opened by its own file (iommufd), trying its group");
                Some(error)
            }
        }
    } else {
        None
    };
    match by_group(path) {
        Ok(opened) => {
            tracing::info!(device = what, "opened by its IOMMU group");
            Ok(opened)
        }
        // A kernel may have no groups; then it is the file that there is something to say about.
        Err(VfioError::OpenContainer(error)) if error.kind() == io::ErrorKind::NotFound => {
            Err(told(what, refused.unwrap_or(VfioError::OpenContainer(error))))
        }
        Err(error) => Err(told(what, error)),
    }
}

/// Whether the kernel has iommufd and a file for the function (`Documentation/driver-api/vfio.rst`, "VFIO Device cdev").
fn has_file(sysfs: &Path, dev: &Path) -> bool {
    let files = fs::read_dir(sysfs.join("vfio-dev")).into_iter().flatten().flatten();
    let mut files = files.map(|file| dev.join("vfio/devices").join(file.file_name()));
    dev.join("iommu").exists() && files.any(|file| file.exists())
}

fn by_file(path: &Path) -> Result<Opened, VfioError> {
    let iommu = IommuFd::new().map_err(VfioError::NewVfioIommufd)?;
    let space: Arc<dyn VfioOps> = Arc::new(VfioIommufd::new(Arc::new(iommu), None, None)?);
    Ok((VfioDevice::new(path, space.clone(), true)?, space))
}

fn by_group(path: &Path) -> Result<Opened, VfioError> {
    let space: Arc<dyn VfioOps> = Arc::new(VfioContainer::new(None)?);
    Ok((VfioDevice::new(path, space.clone(), false)?, space))
}

/// What to tell of a function that can't be opened.
fn told(what: &str, error: VfioError) -> TransportError {
    let what = what.to_owned();
    let (source, hint) = match error {
        VfioError::OpenGroup(source, _) if source.raw_os_error() == Some(Errno::BUSY.raw_os_error()) => {
            return TransportError::InUse { what };
        }
        VfioError::OpenGroup(source, _) if source.kind() == io::ErrorKind::PermissionDenied => (
            source,
            "give this user the right to read and write its group's file in /dev/vfio (chown, or a udev rule)",
        ),
        VfioError::OpenDeviceCdev(source) if source.kind() == io::ErrorKind::PermissionDenied => (
            source,
            "give this user the right to read and write its file in /dev/vfio/devices, and /dev/iommu (chown, or a udev rule)",
        ),
        VfioError::OpenContainer(source) if source.kind() == io::ErrorKind::NotFound => {
            (source, "load the kernel's VFIO (modprobe vfio-pci)")
        }
        VfioError::OpenContainer(source) => (source, "give this user the right to read and write /dev/vfio/vfio"),
        error @ VfioError::GroupViable => (
            io::Error::other(error),
            "its IOMMU group has devices that belong to other drivers; bind those to vfio-pci, too (sealnic device bind names them)",
        ),
        error @ VfioError::ContainerSetIOMMU(_) => (
            io::Error::other(error),
            "the IOMMU can't remap interrupts, or isn't on: boot with intel_iommu=on (AMD: amd_iommu=on)",
        ),
        error => (io::Error::other(error), "check the kernel's log"),
    };
    TransportError::Open { what, source, hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_a_file_when_sysfs_names_one_that_is_there_and_iommufd_is_too() {
        let folder = tempfile::tempdir().unwrap();
        let (sysfs, dev) = (folder.path().join("sys"), folder.path().join("dev"));
        let has_file = || has_file(&sysfs, &dev);
        assert!(!has_file());
        fs::create_dir_all(sysfs.join("vfio-dev/vfio3")).unwrap();
        fs::create_dir_all(dev.join("vfio/devices")).unwrap();
        fs::write(dev.join("vfio/devices/vfio2"), "").unwrap();
        fs::write(dev.join("iommu"), "").unwrap();
        assert!(!has_file(), "that is another's");
        fs::write(dev.join("vfio/devices/vfio3"), "").unwrap();
        assert!(has_file());
        fs::remove_file(dev.join("iommu")).unwrap();
        assert!(!has_file());
    }

    #[test]
    fn what_went_wrong_is_told_with_what_to_do() {
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        for (error, hint) in [
            (VfioError::OpenGroup(denied(), "7".into()), "group's file in /dev/vfio"),
            (VfioError::OpenDeviceCdev(denied()), "/dev/vfio/devices"),
            (VfioError::OpenContainer(denied()), "/dev/vfio/vfio"),
            (VfioError::OpenContainer(io::ErrorKind::NotFound.into()), "modprobe"),
        ] {
            let told = told("it", error).to_string();
            assert!(told.contains(hint), "{told}");
        }
        let busy = VfioError::OpenGroup(Errno::BUSY.into(), "7".into());
        assert!(matches!(told("it", busy), TransportError::InUse { .. }));
    }
}
