//! Secrets, as the wire shows them: never a value.
//!
//! Not for: names of users (`Door::name_of`).

use super::timestamp;
use fusion_core::Secret;
use fusion_core::secret::SecretUse;
use fusion_proto::v1;

/// One current secret.
pub(crate) fn secret(secret: &Secret) -> v1::Secret {
    v1::Secret {
        id: secret.id.to_string(),
        name: secret.name.to_string(),
        user: secret.owner.0.to_string(),
        set_time: Some(timestamp(secret.set_at)),
        agents: secret.given.iter().map(ToString::to_string).collect(),
    }
}

/// What an agent or a task asks for.
pub(crate) fn uses(uses: &[SecretUse]) -> Vec<v1::SecretUse> {
    uses.iter()
        .map(|wanted| v1::SecretUse { name: wanted.name.to_string(), env: wanted.env.to_string() })
        .collect()
}
