//! Where a pid of this process means something: machine, boot, pid namespace.
//! What the system does not tell is `none`: two such hosts look alike, so nothing is guessed beyond that.

use std::{fs, os::linux::fs::MetadataExt};

use crate::model::{HostIdentity, fingerprint};

/// This host's identity. The machine's id is hashed, so that it does not leave the machine in a label.
pub fn identity() -> HostIdentity {
    let read =
        |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    // Inside a container the machine id is often missing; the host name is then the container's own.
    let machine =
        read("/etc/machine-id").or_else(|| read("/proc/sys/kernel/hostname")).unwrap_or_else(|| "none".into());
    let machine: String = fingerprint::config_hash(&format!("mcpmon:{machine}")).chars().take(16).collect();
    let boot = read("/proc/sys/kernel/random/boot_id").unwrap_or_else(|| "none".into());
    let pid_namespace =
        fs::metadata("/proc/self/ns/pid").map_or_else(|_| "none".into(), |meta| meta.st_ino().to_string());
    HostIdentity { machine, boot, pid_namespace }
}
