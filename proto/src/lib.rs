//! The words spoken on the socket: the messages and services of `fusion.v1`.
//!
//! For: generated code and the descriptor set that reflection serves. Not for: meaning. What a
//! request does is decided in `fusion-core`; how it is shown is decided in `fusionctl`.

/// Messages, clients and servers of `fusion.v1`, generated from `proto/fusion/v1/*.proto`.
#[expect(
    missing_docs,
    clippy::too_many_lines,
    clippy::allow_attributes_without_reason,
    clippy::allow_attributes,
    unused_qualifications,
    reason = "generated code"
)]
pub mod v1 {
    include!("generated/fusion.v1.rs");
}

/// The encoded `FileDescriptorSet` of `fusion.v1`, for gRPC server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/fusion.v1.bin");
