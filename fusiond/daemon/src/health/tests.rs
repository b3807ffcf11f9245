//! The doctor on a prepared folder. Not here: each judgement (beside its check).

use super::*;
use crate::config::{Args, Loaded, load};

fn probe(root: &std::path::Path) -> Probe {
    let mut args = Args::default();
    args.place.root = Some(root.to_owned());
    let Loaded { config, paths, .. } = load(&args, |_| None).unwrap();
    paths.prepare().unwrap();
    Probe { paths, config, trees: Trees::None, shim: None }
}

#[test]
fn every_check_that_is_not_ok_has_a_remedy() {
    let root = tempfile::tempdir().unwrap();
    let checks = checks(&probe(root.path()));
    assert!(checks.len() > 12, "{checks:#?}");
    for check in &checks {
        assert_eq!(check.status == Status::Ok, check.remedy.is_empty(), "{check:?}");
        assert!(!check.detail.is_empty() && !check.detail.ends_with('.'), "{check:?}");
    }
    let names: std::collections::BTreeSet<&str> = checks.iter().map(|check| check.name).collect();
    assert_eq!(names.len(), checks.len());
}

#[test]
fn the_shim_must_be_there_and_of_the_same_version() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let shim = root.path().join("fusion-shim");
    let mut probe = probe(root.path());
    probe.shim = Some(shim.clone());
    let status = |probe: &Probe| checks(probe).into_iter().find(|check| check.name == "shim").unwrap();
    assert_eq!(status(&probe).status, Status::Failed);
    for (version, expected) in [(env!("CARGO_PKG_VERSION"), Status::Ok), ("0.0.1", Status::Weak)] {
        std::fs::write(&shim, format!("#!/bin/sh\necho fusion-shim {version}\n")).unwrap();
        std::fs::set_permissions(&shim, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(status(&probe).status, expected);
    }
}

#[test]
fn an_open_store_fails() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let probe = probe(root.path());
    std::fs::set_permissions(&probe.paths.store, std::fs::Permissions::from_mode(0o755)).unwrap();
    let check = checks(&probe).into_iter().find(|check| check.name == "state folder").unwrap();
    assert_eq!(check.status, Status::Failed);
    assert_eq!(check.remedy, format!("chmod 0700 {}", probe.paths.store.display()));
}
