//! The stories of the tree with each backend forced that needs a writable control group.

mod cgroup_v2 {
    use fusion_tests::Setup;

    crate::tree::stories_of_the_tree!(Setup::with_backend("cgroup-v2"));
}

mod cgroup_v1 {
    use fusion_tests::Setup;

    crate::tree::stories_of_the_tree!(Setup::with_backend("cgroup-v1"));
}
