//! Binding against a sysfs made of ordinary files, with a writer that does what the kernel would.

use super::*;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicU32, Ordering};

struct Sysfs(PathBuf);

impl Drop for Sysfs {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const NIC: &str = "0000:65:00.0";

impl Sysfs {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "sealnic-sysfs-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let root = std::env::temp_dir().join(name);
        let sysfs = Self(root);
        for driver in ["vfio-pci", "nicdrv", "pcieport"] {
            fs::create_dir_all(sysfs.0.join("bus/pci/drivers").join(driver)).unwrap();
        }
        fs::write(sysfs.0.join("bus/pci/drivers_probe"), "").unwrap();
        fs::create_dir_all(sysfs.0.join("bus/pci/devices")).unwrap();
        sysfs.add(NIC, 0x5ea1, Some(7), Some("nicdrv"));
        sysfs
    }

    fn device(&self, bdf: &str) -> PathBuf {
        self.0.join("bus/pci/devices").join(bdf)
    }

    fn add(&self, bdf: &str, id: u16, group: Option<u32>, driver: Option<&str>) {
        let device = self.device(bdf);
        fs::create_dir_all(&device).unwrap();
        fs::write(device.join("vendor"), "0x1de5\n").unwrap();
        fs::write(device.join("device"), format!("0x{id:04x}\n")).unwrap();
        fs::write(device.join("driver_override"), "(null)\n").unwrap();
        if let Some(group) = group {
            let group = self.0.join(format!("kernel/iommu_groups/{group}"));
            fs::create_dir_all(group.join("devices")).unwrap();
            symlink(&device, group.join("devices").join(bdf)).unwrap();
            symlink(&group, device.join("iommu_group")).unwrap();
        }
        if let Some(driver) = driver {
            attach(&self.0, bdf, driver);
        }
    }

    fn bus(&self) -> PciBus {
        PciBus {
            root: self.0.clone(),
            write: kernel,
        }
    }

    fn driver(&self) -> Option<String> {
        link_name(&self.device(NIC).join("driver"))
    }

    fn driver_override(&self) -> String {
        fs::read_to_string(self.device(NIC).join("driver_override")).unwrap()
    }
}

fn attach(root: &Path, bdf: &str, driver: &str) {
    let driver = root.join("bus/pci/drivers").join(driver);
    fs::write(driver.join("unbind"), "").unwrap();
    symlink(&driver, root.join("bus/pci/devices").join(bdf).join("driver")).unwrap();
}

/// What the kernel does when one of the three files is written.
fn kernel(path: &Path, text: &str) -> io::Result<()> {
    if !path.exists() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let name = path.file_name().unwrap().to_str().unwrap();
    let root = path.ancestors().find(|dir| dir.join("bus/pci").is_dir()).unwrap();
    match name {
        "driver_override" => fs::write(path, text),
        "unbind" => fs::remove_file(root.join("bus/pci/devices").join(text).join("driver")),
        "drivers_probe" => {
            let wanted = fs::read_to_string(root.join("bus/pci/devices").join(text).join("driver_override"))?;
            attach(
                root,
                text,
                if wanted.trim().is_empty() {
                    "nicdrv"
                } else {
                    wanted.trim()
                },
            );
            Ok(())
        }
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

fn nic() -> Bdf {
    NIC.parse().unwrap()
}

#[test]
fn a_function_goes_to_vfio_and_back() {
    let sysfs = Sysfs::new();
    let bus = sysfs.bus();
    let bound = bus.bind(nic()).unwrap();
    assert!(bound.is_changed && bound.group == Some(7));
    assert_eq!(sysfs.driver().as_deref(), Some("vfio-pci"));
    assert!(!bus.bind(nic()).unwrap().is_changed, "a second time nothing changes");
    let unbound = bus.unbind(nic()).unwrap();
    assert_eq!(unbound.driver.as_deref(), Some("nicdrv"));
    assert!(sysfs.driver_override().trim().is_empty());
    let again = bus.unbind(nic()).unwrap_err();
    assert!(again.to_string().contains("its driver is nicdrv"), "{again}");
}

#[test]
fn a_function_without_a_driver_is_bound_too() {
    let sysfs = Sysfs::new();
    fs::remove_file(sysfs.device(NIC).join("driver")).unwrap();
    sysfs.bus().bind(nic()).unwrap();
    assert_eq!(sysfs.driver().as_deref(), Some("vfio-pci"));
}

#[test]
fn who_shares_the_group_is_named() {
    let sysfs = Sysfs::new();
    sysfs.add("0000:65:00.1", 0x1234, Some(7), Some("nicdrv"));
    sysfs.add("0000:64:00.0", 0x1235, Some(7), Some("pcieport"));
    sysfs.add("0000:65:00.2", 0x1236, Some(7), None);
    sysfs.add("0000:66:00.0", 0x1237, Some(8), Some("nicdrv"));
    let error = sysfs.bus().bind(nic()).unwrap_err().to_string();
    assert!(error.contains("group 7 with 0000:65:00.1 (driver nicdrv):"), "{error}");
    assert_eq!(sysfs.driver().as_deref(), Some("nicdrv"), "nothing was touched");
    sysfs.bus().bind("65:00.1".parse().unwrap()).unwrap_err();
    fs::remove_file(sysfs.device("0000:65:00.1").join("driver")).unwrap();
    sysfs.bus().bind(nic()).unwrap();
}

#[test]
fn what_is_missing_is_said() {
    let sysfs = Sysfs::new();
    let error = sysfs.bus().bind("0000:01:00.0".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("SealNICs are at 0000:65:00.0"), "{error}");

    sysfs.add("0000:70:00.0", 0x5ea1, None, None);
    let error = sysfs.bus().bind("0000:70:00.0".parse().unwrap()).unwrap_err();
    assert!(matches!(error, BindError::NoGroup { .. }), "{error}");
    assert!(error.to_string().contains("intel_iommu=on"), "{error}");

    fs::remove_dir_all(sysfs.0.join("bus/pci/drivers/vfio-pci")).unwrap();
    let error = sysfs.bus().bind(nic()).unwrap_err();
    assert!(matches!(error, BindError::NoModule), "{error}");
}

#[test]
fn without_rights_nothing_changes_and_the_file_is_named() {
    let sysfs = Sysfs::new();
    let bus = PciBus {
        write: |_, _| Err(io::ErrorKind::PermissionDenied.into()),
        ..sysfs.bus()
    };
    let error = bus.bind(nic()).unwrap_err();
    assert!(matches!(error, BindError::Permission { .. }), "{error}");
    assert!(
        error.to_string().contains("driver_override; do this as root"),
        "{error}"
    );
    assert_eq!(sysfs.driver().as_deref(), Some("nicdrv"));
}

#[test]
fn a_driver_that_refuses_leaves_the_function_where_it_was() {
    let sysfs = Sysfs::new();
    let bus = PciBus {
        write: |path, text| {
            let is_probe = path.ends_with("drivers_probe");
            let device = path.parent().unwrap().join("devices").join(text);
            // VFIO's probe fails: the function stays without a driver.
            if is_probe && fs::read_to_string(device.join("driver_override")).unwrap() == VFIO_DRIVER {
                return Ok(());
            }
            kernel(path, text)
        },
        ..sysfs.bus()
    };
    let error = bus.bind(nic()).unwrap_err();
    assert!(matches!(error, BindError::NotBound { driver: None, .. }), "{error}");
    assert_eq!(sysfs.driver().as_deref(), Some("nicdrv"), "it is given back");
}

#[test]
fn addresses_are_read_in_both_forms_and_nothing_else() {
    let bdf: Bdf = "65:1f.7".parse().unwrap();
    assert_eq!(bdf.to_string(), "0000:65:1f.7");
    assert_eq!("abcd:65:1f.7".parse::<Bdf>().unwrap().domain, 0xabcd);
    for bad in [
        "",
        "65:00",
        "0000:65:20.0",
        "65:00.8",
        "1:2:3:4.5",
        "x:00.0",
        "+1:00.0",
        "10000:00:00.0",
        "0000:100:00.0",
        ":.",
        "00:00.",
    ] {
        assert!(bad.parse::<Bdf>().is_err(), "{bad}");
    }
}
