//! Holds the committed generated code equal to what the `.proto` files give.
//!
//! Not for the wire's behaviour: stories test that. `cargo xtask docs` writes the files anew.

use std::{fs, path::Path};

#[test]
fn generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = ["agent", "task", "event", "profile", "secret", "system", "workflow", "workspace"]
        .map(|name| format!("fusion/v1/{name}.proto"));
    let descriptors = protox::compile(&files, [root]).expect("the .proto files compile");
    let out = tempfile::tempdir().expect("a temporary folder");
    let set = out.path().join("fusion.v1.bin");
    let mut config = tonic_prost_build::configure()
        .out_dir(out.path())
        .build_transport(false)
        .emit_rerun_if_changed(false);
    config = config.file_descriptor_set_path(&set);
    config.compile_fds(descriptors.clone()).expect("code generation");
    fs::write(&set, prost::Message::encode_to_vec(&descriptors)).expect("write the descriptor set");
    let committed = root.join("src/generated");
    let mut stale = Vec::new();
    for name in ["fusion.v1.rs", "fusion.v1.bin"] {
        let fresh = fs::read(out.path().join(name)).expect("generated file");
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(committed.join(name), &fresh).expect("write generated file");
        } else if fs::read(committed.join(name)).ok().as_ref() != Some(&fresh) {
            stale.push(name);
        }
    }
    assert!(stale.is_empty(), "{stale:?} differ from the .proto files: run cargo xtask docs");
}
